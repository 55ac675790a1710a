"""`PanopticQuality`: how well the segments of an image, things and stuff, are found and cut out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, Shaped

from ..._converters import flag, integer
from ..._describe import array_name, describe
from ..._errors import ContractError
from ..._terms._accumulator import Sum, safe_divide
from ..._terms._elementwise import check_same_shape
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from .._accumulators._value_of import ValueOf
from .._classification._class_indices import as_indices
from ._segments import Segments, segments


def _as_categories(name: str) -> Callable[[Iterable[int]], tuple[int, ...]]:
    """Return a converter to a tuple of integers."""

    def convert(categories: Any) -> tuple[int, ...]:
        listed = isinstance(categories, list | tuple | set | frozenset | range)
        if not listed or not all(type(c) is int for c in categories):
            raise TypeError(f"`{name}` is a list of integers, categories, and got {describe(categories)}.")
        return tuple(categories)

    return convert


class PanopticQuality(Metric):
    r"""How well the segments of images are found and cut out, the mean over the categories that occur or are predicted
    of

    $$
    \frac{\sum_{(s, \hat s)} \text{IoU}(s, \hat s)}{TP + \frac{1}{2} FP + \frac{1}{2} FN}
    $$

    over the pairs of a segment and one that is predicted, of the same category and image, whose IoU is above 1/2: there
    are $TP$ of them. $FP$ segments are predicted and in no pair, and $FN$ are there and in no pair. They are summed up
    over all examples, so that the value doesn't depend on how these are cut into batches.

    `y_true` and `y_pred` hold integers `(batch, height, width, 2)`, or of any axes of space: the category of each
    pixel, and which instance of it. All stuff of a category is one segment, whatever its instance. A category of
    `y_true` that is neither in `things` nor in `stuffs` is void: its pixels don't count, and neither does a segment
    that isn't in a pair and lies in it by more than half. One in `y_pred` makes the metric value NaN, unless
    `check_bounds=False`, by which it is void as well.

    Segments of an image are compared all with all, in arrays of a fixed size: more than `max_segments` in one, all that
    is void being one of them, make the metric value NaN.

    **Raises:** `TypeError` or `ValueError` where `things` and `stuffs` aren't lists of different integers, of which
    there is one at least. [`treegy.ContractError`][] where the shapes or dtypes aren't these.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        category, instance = jnp.array([[[0, 0, 7, 7], [0, 0, 7, 7]]]), jnp.array([[[1, 1, 0, 0], [1, 1, 0, 0]]])
        found = category.at[0, 0, 1].set(7)
        quality = tg.metrics.PanopticQuality(things=[0], stuffs=[7])
        value = quality(jnp.stack([category, instance], axis=-1), jnp.stack([found, instance], axis=-1))
        assert abs(float(value) - (3 / 4 + 4 / 5) / 2) < 1e-6
        ```

    ??? cite

        Kirillov et al., *Panoptic Segmentation*, CVPR 2019.
    """

    things: tuple[int, ...] = eqx.field(default=(), kw_only=True, static=True, converter=_as_categories("things"))
    """The categories of what can be counted: each instance is a segment."""
    stuffs: tuple[int, ...] = eqx.field(default=(), kw_only=True, static=True, converter=_as_categories("stuffs"))
    """The categories of what can't be: each is one segment of an image."""
    parts: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("parts"))
    """Whether its factors are shown as well: the quality of segmentation, the mean IoU of pairs, and that of
    recognition, an F1-score."""
    by_category: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("by_category"))
    """Whether there is a value for each category, things first, and no mean; 0 for those that are nowhere."""
    max_segments: int = eqx.field(
        default=128,
        kw_only=True,
        static=True,
        converter=integer("max_segments", "how many segments an image has at most", least=1),
    )
    """How many segments an image has at most."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether a category of `y_pred` that is unknown makes the metric value NaN. If not, it is void."""

    def __check_init__(self) -> None:
        if not self._categories or len(set(self._categories)) < len(self._categories):
            raise ValueError(
                "`things` and `stuffs` are different categories, at least one, and got "
                f"{self.things} and {self.stuffs}."
            )

    @property
    def _categories(self) -> tuple[int, ...]:
        return self.things + self.stuffs

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Shaped[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        check_same_shape(y_true, y_pred)
        if y_pred.ndim < 3 or y_pred.shape[-1] != 2:
            raise ContractError(
                f"`y_pred` {array_name(y_pred)} must hold a category and an instance for each pixel: a shape like "
                "(batch, height, width, 2) is expected."
            )
        counts = jax.vmap(self._counts)(as_indices(y_true, "y_true"), as_indices(y_pred, "y_pred"))
        weighted, _, _ = weigh(counts, sample_weight)
        return ValueOf(Sum(jnp.sum(weighted, axis=0)), _quality, parts=self.parts, by_category=self.by_category)

    def _counts(self, y_true: Int[Array, "..."], y_pred: Int[Array, "..."]) -> Float[Array, "4 categories"]:
        """Return the sums of IoU, and how many pairs, segments that are too many and that are missing an image has."""
        meant, found = (
            segments(values.reshape(-1, 2), self._categories, len(self.things), self.max_segments)
            for values in (y_true, y_pred)
        )
        places = jnp.where(
            (meant.of_pixels < self.max_segments) & (found.of_pixels < self.max_segments),
            meant.of_pixels * self.max_segments + found.of_pixels,
            self.max_segments**2,
        )
        shared = jnp.zeros(self.max_segments**2, jnp.int32).at[places].add(1, mode="drop")
        counts = self._compared(meant, found, shared.reshape(self.max_segments, -1).astype(jnp.float32))
        wrong = meant.too_many | found.too_many | (self.check_bounds & found.unknown)
        return jnp.where(wrong, jnp.nan, counts)

    def _compared(self, meant: Segments, found: Segments, shared: Float[Array, "n n"]) -> Float[Array, "4 categories"]:
        void = len(self._categories)
        of_meant, of_found = jnp.sum(shared, axis=1), jnp.sum(shared, axis=0)
        # What of each lies in what is void in the other.
        lost = jnp.sum(jnp.where((found.category == void)[None], shared, 0), axis=1)
        ignored = jnp.sum(jnp.where((meant.category == void)[:, None], shared, 0), axis=0)
        union = (of_meant - lost)[:, None] + (of_found - ignored)[None] - shared
        same = (meant.category[:, None] == found.category[None]) & (meant.category != void)[:, None]
        iou = safe_divide(shared, union)
        pairs = same & (iou > 0.5)
        missing = ~jnp.any(pairs, axis=1) & (lost <= of_meant / 2) & (of_meant > 0)
        too_many = ~jnp.any(pairs, axis=0) & (ignored <= of_found / 2) & (of_found > 0)
        each = jnp.arange(void)[:, None]
        in_meant, in_found = meant.category[None] == each, found.category[None] == each

        def counted(which: Array, values: Array) -> Array:
            return jnp.sum(jnp.where(which, values[None].astype(jnp.float32), 0), axis=-1)

        return jnp.stack(
            [
                counted(in_meant, jnp.sum(jnp.where(pairs, iou, 0), axis=1)),
                counted(in_meant, jnp.any(pairs, axis=1)),
                counted(in_found, too_many),
                counted(in_meant, missing),
            ]
        )


def _quality(counts: Float[Array, "4 categories"], parts: bool, by_category: bool) -> Array | Mapping[str, Array]:
    iou, pairs, too_many, missing = counts
    denominator = pairs + (too_many + missing) / 2
    occurs = denominator != 0

    def shown(of_categories: Array) -> Array:
        if by_category:
            return of_categories
        return safe_divide(jnp.sum(of_categories), jnp.sum(occurs).astype(of_categories.dtype))

    quality = shown(safe_divide(iou, denominator))
    if not parts:
        return quality
    return {
        "quality": quality,
        "segmentation": shown(safe_divide(iou, pairs)),
        "recognition": shown(safe_divide(pairs, denominator)),
    }
