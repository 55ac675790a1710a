"""Images as losses and metrics take them: with their channels first or last, or without any."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._converters import integer
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import all_in_floats, inner_axis, matched

as_channels = integer("axis", "the axis of the channels, or None where there are none", optional=True)
"""Converts the field `axis` of losses and metrics of images."""


def images(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], axis: int | None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """`y_true` and `y_pred` in floats, with the channels last: `(batch, height, width, channels)`, or with a depth.

    **Arguments:**

    - `axis`: that of the channels, or `None` where there are none; one of length 1 is then added.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return _channels_last(y_true, axis), _channels_last(y_pred, axis)


def image(y_pred: Num[Array, "..."], axis: int | None) -> Float[Array, "..."]:
    """`y_pred` as `images` has it."""
    (y_pred,) = all_in_floats({"y_pred": y_pred})
    return _channels_last(y_pred, axis)


def space(images: Array) -> tuple[int, ...]:
    """Return the axes of height and width, and of depth where there is one, of images whose channels are last."""
    return tuple(range(1, images.ndim - 1))


def _channels_last(values: Array, axis: int | None) -> Array:
    found = values.ndim - (1 if axis is None else 2)
    if found not in (2, 3):
        there = "without channels" if axis is None else f"with channels at `axis={axis}`"
        other = "Pass `axis=None` for images without channels." if found == 1 and axis is not None else ""
        raise ContractError(
            f"`y_pred` {array_name(values)} doesn't hold images {there}: a batch, 2 or 3 axes of space, such as height "
            f"and width, and the channels are expected. {other}".rstrip()
        )
    return values[..., None] if axis is None else jnp.moveaxis(values, inner_axis(values, axis, "channels"), -1)
