"""The same networks where channels come last, as in Keras and Flax."""

import dataclasses
from typing import Any

import numpy as np
from workloads import Conv, Dense, Layer


def as_channels_last(x: np.ndarray) -> np.ndarray:
    """Images `(n, channels, height, width)` as `(n, height, width, channels)`; vectors as they are."""
    return x if x.ndim == 2 else np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def knows(layers: list[Layer]) -> bool:
    """Whether it has such layers."""
    return all(isinstance(layer, Dense) or (isinstance(layer, Conv) and not layer.padding) for layer in layers)


def flattened_channels_last(layers: list[Any], shape: tuple[int, ...]) -> list[Dense | Conv]:
    """Layers of which the first dense one takes what is flattened with channels last.

    **Arguments:**

    - `layers`: layers for channels first.
    - `shape`: the shape of an input, channels first.
    """
    adapted: list[Dense | Conv] = []
    for layer in layers:
        if isinstance(layer, Conv):
            size = layer.weight.shape[-1]
            shape = (layer.weight.shape[0], *((side - size) // layer.stride + 1 for side in shape[1:]))
        elif len(shape) == 3:
            weight = layer.weight.reshape(-1, *shape).transpose(0, 2, 3, 1).reshape(layer.weight.shape)
            layer = dataclasses.replace(layer, weight=np.ascontiguousarray(weight))
            shape = layer.bias.shape
        adapted.append(layer)
    return adapted
