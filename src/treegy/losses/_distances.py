"""Distances of pixels to regions of an image."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Shaped

from .._describe import array_name
from .._errors import ContractError


def squared_distances(
    mask: Bool[Array, "..."], axes: Sequence[int], spacing: Sequence[ArrayLike]
) -> Float[Array, "..."]:
    """Return the squared Euclidean distance of each pixel to the nearest one of a mask, exactly; infinite if it is
    empty.

    One axis after the other, since squares add up: each takes the time of a line for each pixel.

    **Arguments:**

    - `axes`: those of space.
    - `spacing`: how far neighbours are apart along each of them.
    """
    found = jnp.where(mask, 0.0, jnp.inf).astype(jnp.float32)
    for axis, step in zip(axes, spacing, strict=True):
        places = jnp.arange(mask.shape[axis], dtype=jnp.float32) * jnp.asarray(step, jnp.float32)
        apart = ((places[:, None] - places[None, :]) ** 2).reshape((1,) * (mask.ndim - 1) + (places.size,) * 2)
        lines = jnp.moveaxis(found, axis, -1)
        found = jnp.moveaxis(jnp.min(lines[..., None, :] + apart, axis=-1), -1, axis)
    return found


def signed_distances(mask: Shaped[Array, "..."]) -> Float[Array, "..."]:
    r"""The distance of each pixel to the edge of a region, negative within it: what [`treegy.losses.boundary`][] takes.

    $\min_{b \in R} \lVert a - b \rVert$ outside of the region $R$, and
    $1 - \min_{b \notin R} \lVert a - b \rVert$ within, so that it is 0 at the pixels of its edge.

    **Arguments:**

    - `mask`: `(batch, height, width)`, or with a depth: 0 or 1. To map each class of `(batch, ..., classes)`, map over
        that axis: `jax.vmap(tg.losses.signed_distances, -1, -1)`.

    **Returns:**

    Of the same shape, in float32 and in pixels. 0 everywhere where the region is empty, or all there is.

    **Raises:** [`treegy.ContractError`][] where the shape isn't that.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        mask = jnp.zeros((1, 5, 5)).at[:, 1:4, 1:4].set(1)
        assert tg.losses.signed_distances(mask)[0, 2].tolist() == [1, 0, -1, 0, 1]
        ```
    """
    if mask.ndim not in (3, 4):
        raise ContractError(
            f"`mask` is {array_name(mask)}, and (batch, height, width), or that with a depth, is expected."
        )
    inside, axes = mask if mask.dtype == bool else mask > 0.5, tuple(range(1, mask.ndim))
    spacing = (1.0,) * len(axes)
    outward = jnp.sqrt(squared_distances(inside, axes, spacing))
    inward = jnp.sqrt(squared_distances(~inside, axes, spacing))
    both = jnp.any(inside, axis=axes, keepdims=True) & jnp.any(~inside, axis=axes, keepdims=True)
    return jnp.where(both, jnp.where(inside, 1 - inward, outward), 0)
