"""Keras 3 on JAX. It isn't asked to shuffle: its data comes in the order of the epoch."""

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402
import numpy as np  # noqa: E402
from workloads import Conv, Dense, Work  # noqa: E402

from . import Contender  # noqa: E402
from .channels_last import as_channels_last, flattened_channels_last, knows  # noqa: E402


class Keras(Contender):
    """`fit`, `evaluate` and `predict` as they are."""

    steps_per_execution = 1

    def __init__(self, work: Work):
        super().__init__(work)
        if work.source == "arrays":
            x, y = (work.x, work.y) if work.task != "fit" else work.ordered
            self.x, self.y = as_channels_last(x), y
        layers = flattened_channels_last(work.layers, work.x.shape[1:])
        self.model = keras.Sequential([keras.Input(as_channels_last(work.x[:1]).shape[1:])])
        for i, layer in enumerate(layers):
            activation = None if i == len(layers) - 1 else "relu"
            if isinstance(layer, Conv):
                channels, _, size, _ = layer.weight.shape
                self.model.add(
                    keras.layers.Conv2D(channels, size, layer.stride, groups=layer.groups, activation=activation)
                )
            else:
                if i > 0 and isinstance(layers[i - 1], Conv):
                    self.model.add(keras.layers.Flatten())
                self.model.add(keras.layers.Dense(layer.weight.shape[0], activation=activation))
        self.model.compile(
            optimizer=keras.optimizers.Adam(work.learning_rate, epsilon=1e-8),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["sparse_categorical_accuracy"],
            steps_per_execution=self.steps_per_execution,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.weights = [array for layer in layers for array in (_kernel(layer), layer.bias)]
        self.optimizer_variables = [v.numpy() for v in self.model.optimizer.variables]
        self.reset()

    @classmethod
    def does(cls, work: Work) -> bool:
        # In an order, it would read a memory map from end to end.
        return work.source != "memory map" and knows(work.layers)

    def reset(self) -> None:
        self.model.set_weights(self.weights)
        for variable, value in zip(self.model.optimizer.variables, self.optimizer_variables, strict=True):
            variable.assign(value)

    def fit(self) -> float:
        work = self.work
        if work.source == "generator":
            history = self.model.fit(work.batches(), steps_per_epoch=work.steps, shuffle=False, verbose=0)
        else:
            history = self.model.fit(self.x, self.y, batch_size=work.batch_size, shuffle=False, verbose=0)
        return history.history["loss"][-1]

    def evaluate(self) -> tuple[float, float]:
        logs = self.model.evaluate(self.x, self.y, batch_size=self.work.batch_size, verbose=0, return_dict=True)
        return logs["loss"], logs["sparse_categorical_accuracy"]

    def predict(self) -> Any:
        return self.model.predict(self.x, batch_size=self.work.batch_size, verbose=0)

    def logits(self, x: np.ndarray) -> Any:
        return self.model(as_channels_last(x))


class Keras32(Keras):
    """32 steps a call."""

    steps_per_execution = 32


def _kernel(layer: Dense | Conv) -> np.ndarray:
    return layer.weight.T if isinstance(layer, Dense) else layer.weight.transpose(2, 3, 1, 0)
