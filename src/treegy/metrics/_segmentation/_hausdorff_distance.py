"""`HausdorffDistance`: how far apart the edges of regions are."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Shaped

from ..._checks import check_number
from ..._converters import fixed_number, flag
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._weights import Masked
from ...losses._distances import squared_distances
from ._regions import OfRegions


def _as_spacing(spacing: Any) -> Any:
    return tuple(spacing) if isinstance(spacing, list | tuple) else spacing


_as_percentile = fixed_number("percentile", "a percentile, a number from 0 to 100", lambda p: 0 <= p <= 100)


class HausdorffDistance(OfRegions):
    r"""How far apart the edges of regions are, the mean over examples and their classes of the largest distance of a
    pixel of one edge to the other edge,

    $$
    \max\left(\max_{a \in E} \min_{b \in \hat E} \lVert a - b \rVert,
    \max_{b \in \hat E} \min_{a \in E} \lVert a - b \rVert\right)
    $$

    or of a `percentile` of these distances, which doesn't depend on single pixels: 95 is usual. The larger of the two
    percentiles is taken, that of each edge, as MONAI and DeepMind's `surface-distance` have it.

    The edge of a region are its pixels that have a neighbour along an axis outside of it, or at the edge of the image.
    Distances are exact, and in pixels, or in the unit of `spacing`. Each takes the time of the lines through its pixel.

    Where a class neither occurs nor is predicted there is no distance, and it is left out. Where one of the two is, the
    distance is `empty`. A label or prediction that isn't a class makes it NaN.

    What `y_true` and `y_pred` are is as in [`treegy.metrics.DiceScore`][]: `(batch, height, width)`, or with a depth.

    **Raises:** `ValueError` where `percentile` isn't from 0 to 100, or `spacing` isn't positive.
    [`treegy.ContractError`][] where `spacing` isn't that of the axes, and what [`treegy.metrics.DiceScore`][] raises.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        labels, found = jnp.zeros((1, 8, 8), int).at[:, 2, 2].set(1), jnp.zeros((1, 8, 8), int).at[:, 5, 6].set(1)
        distance = tg.metrics.HausdorffDistance(num_classes=2, include_background=False)
        assert float(distance(labels, found)) == 5
        ```
    """

    percentile: float = eqx.field(default=100.0, kw_only=True, static=True, converter=_as_percentile)
    """Which percentile of the distances is taken: the largest is the 100th."""
    directed: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("directed"))
    """Whether only the distances of what is predicted to what is there count."""
    spacing: ArrayLike | tuple[ArrayLike, ...] = eqx.field(default=1.0, kw_only=True, converter=_as_spacing)
    """How far neighbouring pixels are apart: along all axes, or along each."""
    empty: ArrayLike = eqx.field(default=jnp.inf, kw_only=True)
    """The distance of a class that occurs and isn't predicted, or is predicted and doesn't occur: infinite, or such as
    the diagonal of the image."""

    def __check_init__(self) -> None:
        for step in self.spacing if isinstance(self.spacing, tuple) else (self.spacing,):
            check_number("spacing", step, lambda s: s > 0, "a positive number, or one for each axis")
        check_number("empty", self.empty, lambda e: e >= 0, "a number from 0 on, or infinite")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Masked:
        indices = self._indices(y_true, y_pred)
        labels, found = indices.y_true, indices.y_pred
        axes = tuple(range(1, labels.ndim))
        classes = self._kept(jnp.arange(indices.num_classes, dtype=labels.dtype), axis=0)

        def of_class(each: Array) -> tuple[Array, Array]:
            return self._distances(labels == each, found.astype(labels.dtype) == each, self._spacing(labels), axes)

        distances, some = jax.vmap(of_class, out_axes=-1)(classes)
        outside = [(a < 0) | (a >= indices.num_classes) for a in (labels, found)]
        wrong = jnp.any(outside[0] | outside[1], axis=axes)[:, None]
        return Masked(jnp.where(wrong, jnp.nan, distances), some | wrong)

    def _spacing(self, labels: Array) -> tuple[ArrayLike, ...]:
        axes = labels.ndim - 1
        spacing = self.spacing if isinstance(self.spacing, tuple) else (self.spacing,) * axes
        if len(spacing) != axes:
            raise ContractError(
                f"`spacing` has {len(spacing)} numbers, and there are {axes} axes of space in {array_name(labels)}."
            )
        return spacing

    def _distances(
        self,
        labels: Bool[Array, "..."],
        found: Bool[Array, "..."],
        spacing: tuple[ArrayLike, ...],
        axes: tuple[int, ...],
    ) -> tuple[Float[Array, "batch"], Bool[Array, "batch"]]:
        """Return the distance of the regions of a class in each example, and whether there is any."""
        there, predicted = (jnp.any(mask, axis=axes) for mask in (labels, found))
        edges = _edge(labels, axes), _edge(found, axes)
        distances = _from_to(edges[1], edges[0], axes, spacing, self.percentile)
        if not self.directed:
            distances = jnp.maximum(distances, _from_to(edges[0], edges[1], axes, spacing, self.percentile))
        return jnp.where(there & predicted, distances, self.empty), there | predicted


def _edge(mask: Bool[Array, "..."], axes: tuple[int, ...]) -> Bool[Array, "..."]:
    """Return which pixels of a region have a neighbour along an axis that isn't in it."""
    inner = mask
    for axis in axes:
        beside = jnp.pad(mask, [(1, 1) if a == axis else (0, 0) for a in range(mask.ndim)])
        for first in (0, 2):
            inner &= jax.lax.slice_in_dim(beside, first, first + mask.shape[axis], axis=axis)
    return mask & ~inner


def _from_to(
    pixels: Bool[Array, "..."],
    region: Bool[Array, "..."],
    axes: tuple[int, ...],
    spacing: tuple[ArrayLike, ...],
    percentile: float,
) -> Float[Array, "batch"]:
    """Return a percentile of the distances of some pixels to a region, by linear interpolation."""
    squares = squared_distances(region, axes, spacing)
    if percentile == 100:
        return jnp.sqrt(jnp.max(jnp.where(pixels, squares, 0), axis=axes))
    ordered = jnp.sort(jnp.where(pixels, squares, jnp.inf).reshape(pixels.shape[0], -1), axis=-1)
    last = jnp.sum(pixels, axis=axes) - 1
    place = jnp.maximum(last, 0).astype(jnp.float32) * (percentile / 100)
    low = jnp.floor(place).astype(jnp.int32)
    below, above = (
        jnp.sqrt(jnp.take_along_axis(ordered, jnp.minimum(at, jnp.maximum(last, 0))[:, None], axis=-1)[:, 0])
        for at in (low, low + 1)
    )
    # Not weighed with 0 where they are the same: an infinity times it would be NaN.
    return jnp.where(above == below, below, below + (above - below) * (place - low.astype(jnp.float32)))
