"""Boxes that are found in images, and what became of them, of which average precision and recall are made."""

import abc
from collections.abc import Hashable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from ..._converters import flag, integer
from ..._describe import describe
from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._metric import Metric
from ..._terms._term import Context
from ..._terms._weights import weigh
from ..._types import PyTree
from ...losses._box_iou import Layout, as_layout
from .._accumulators._value_of import ValueOf
from .._representations._examples import Examples, KeptExamples, kept_examples
from ._detections import Boxes, outcomes_of, read_boxes


class Detections(Accumulator):
    """What became of the boxes that were found, image by image, and how many of each class there are."""

    found: Examples
    """Labels and scores `(capacity, n)`, and outcomes `(capacity, n, thresholds)`."""
    positives: Sum
    """Of each class."""

    merges_parts: ClassVar[bool] = True

    def empty(self) -> "Detections":
        return Detections(self.found.empty(), self.positives.empty())

    def merge(self, other: "Detections") -> "Detections":
        return Detections(self.found.merge(other.found), self.positives.merge(other.positives))

    def compute(self) -> tuple[KeptExamples, Array]:
        return self.found.compute(), self.positives.compute()


def _as_thresholds(thresholds: Any) -> tuple[float, ...]:
    """Return thresholds in their order."""
    thresholds = thresholds.tolist() if isinstance(thresholds, np.ndarray) else thresholds
    several = tuple(thresholds) if isinstance(thresholds, list | tuple) else (thresholds,)
    for one in several:
        if isinstance(one, bool) or not isinstance(one, int | float | np.number):
            raise TypeError(f"`thresholds` is a list of numbers above 0 up to 1, and got {describe(thresholds)}.")
        if not 0 < one <= 1:
            raise ValueError(f"`thresholds` is a list of numbers above 0 up to 1, and got {one}.")
    if not several:
        raise ValueError("`thresholds` is a list of numbers above 0 up to 1, at least one, and got none.")
    return tuple(float(one) for one in several)


def _as_area_range(area_range: Any) -> Any:
    """Return the least and the largest area."""
    if area_range is None:
        return None
    expected = "`area_range` is two numbers from 0 on, of which the first is less, or None"
    several = area_range.tolist() if isinstance(area_range, np.ndarray) else area_range
    if (
        not isinstance(several, list | tuple)
        or len(several) != 2
        or not all(isinstance(one, int | float | np.number) and not isinstance(one, bool) for one in several)
    ):
        raise TypeError(f"{expected}, and got {describe(area_range)}.")
    if not 0 <= several[0] < several[1]:
        raise ValueError(f"{expected}, and got {tuple(several)}.")
    return float(several[0]), float(several[1])


class OfDetections(Metric):
    """A metric value of the boxes that are found in images, and of which class they are."""

    num_classes: int = eqx.field(static=True, converter=integer("num_classes", "how many classes there are", least=1))
    """How many classes there are."""
    thresholds: tuple[float, ...] = eqx.field(
        default=tuple(n / 100 for n in range(50, 100, 5)), kw_only=True, static=True, converter=_as_thresholds
    )
    """How much boxes have to overlap at least, a number or several."""
    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of images to make room for", least=1),
    )
    """How many images there is room for."""
    max_detections: int = eqx.field(
        default=100,
        kw_only=True,
        static=True,
        converter=integer("max_detections", "how many boxes of a class count in an image", least=1),
    )
    """How many boxes of a class count in an image: those of the highest scores."""
    area_range: tuple[float, float] | None = eqx.field(
        default=None, kw_only=True, static=True, converter=_as_area_range
    )
    """The least and the largest area of the boxes that count: `(0, 32**2)`, `(32**2, 96**2)` and `(96**2, inf)` are
    COCO's small, medium and large ones. One of another size needn't be found, and what is found of another size
    counts only where it belongs to one that counts."""
    layout: Layout = eqx.field(default="xyxy", kw_only=True, static=True, converter=as_layout)
    """`"xyxy"` for two corners, `"xywh"` for a corner and the sides, as COCO has it, `"cxcywh"` for the center and the
    sides."""
    by_class: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("by_class"))
    """Whether there is a value for each class, and no mean over them; 0 for those that don't occur."""
    by_threshold: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("by_threshold"))
    """Whether there is a value for each threshold, and no mean over them: the first axis."""

    @abc.abstractmethod
    def _metric_value(self, accumulated: Detections) -> ValueOf:
        """Return what is made of it."""

    def call(self, y_true: PyTree, y_pred: PyTree, sample_weight: Num[Array, "batch"] | None = None) -> ValueOf:
        return self._metric_value(self._detections(y_true, y_pred, sample_weight))

    def _accumulates(self, context: Context) -> Hashable:
        """Return what metrics of a model share that look at the same boxes."""
        if type(self).call is not OfDetections.call:
            return None
        options = (self.num_classes, self.thresholds, self.capacity, self.max_detections, self.area_range, self.layout)
        return Detections, options, self.on

    def _detections(self, y_true: PyTree, y_pred: PyTree, sample_weight: Num[Array, "batch"] | None) -> Detections:
        """Return what became of the boxes of a batch."""
        meant, found = (
            read_boxes(values, name, self.layout) for values, name in ((y_true, "y_true"), (y_pred, "y_pred"))
        )
        bad = self._bad(meant) | self._bad(found)
        # What fills up the arrays may be anything.
        meant, found = (
            it._replace(
                boxes=jnp.where((it.labels == -1)[..., None], 0, it.boxes),
                scores=jnp.where(it.labels == -1, 0, it.scores),
            )
            for it in (meant, found)
        )
        dtype = jnp.promote_types(meant.boxes.dtype, found.boxes.dtype)
        meant = meant._replace(boxes=meant.boxes.astype(dtype))
        found = found._replace(boxes=found.boxes.astype(dtype))
        if self.area_range is not None:
            least, most = self.area_range
            meant, found = (
                it._replace(ignored=it.ignored | (it.area < least) | (it.area > most)) for it in (meant, found)
            )
        outcomes = jax.vmap(
            lambda meant, found: outcomes_of(meant, found, self.thresholds, self.layout, self.max_detections)
        )(meant, found)
        classes = jnp.arange(self.num_classes)
        ones = (meant.labels[..., None] == classes[None, None]) & ~meant.ignored[..., None]
        positives = jnp.where(bad[:, None], jnp.nan, jnp.sum(ones, axis=1).astype(jnp.float32))
        weighted, _, _ = weigh(positives, sample_weight)
        kept = kept_examples(tuple(outcomes), sample_weight, self.capacity)
        return Detections(kept, Sum(jnp.sum(weighted, axis=0)))

    def _bad(self, it: Boxes) -> Array:
        """Return whether an image has a label that isn't a class, or NaN."""
        unordered = jnp.any(jnp.isnan(it.boxes), axis=-1) | jnp.isnan(it.scores) | jnp.isnan(it.area)
        unknown = (it.labels < -1) | (it.labels >= self.num_classes)
        return jnp.any(unknown | (unordered & (it.labels != -1)), axis=-1)


def mean_over(
    values: Float[Array, "thresholds classes"],
    of: tuple[KeptExamples, Float[Array, "classes"]],
    *,
    by_class: bool,
    by_threshold: bool,
) -> Float[Array, "..."]:
    """Return the mean of values that is asked for; over classes, that of those that occur. NaN for what is unknown."""
    kept, positives = of
    if not by_class:
        occurs = jnp.where(positives > 0, 1, 0).astype(values.dtype)
        values = safe_divide(jnp.sum(values * occurs[None], axis=1), jnp.sum(occurs))
    values = values if by_threshold else jnp.mean(values, axis=0)
    bad = kept.full | jnp.any(jnp.isnan(positives))
    return jnp.where(bad, jnp.nan, values)


class Ordered(NamedTuple):
    """The boxes that were found, class by class, and in each of them from the highest score on."""

    labels: Int[Array, "n"]
    """The number of classes for those that don't matter."""
    right: Float[Array, "thresholds n"]
    """How many are right up to each."""
    wrong: Float[Array, "thresholds n"]
    outcomes: Int[Array, "thresholds n"]


def ordered(kept: KeptExamples, classes: int) -> Ordered:
    """Return the boxes that were found in all images."""
    labels, scores, outcomes = (a.reshape(-1, *a.shape[2:]) for a in kept.arrays)
    weight = jnp.repeat(kept.weight, kept.arrays[0].shape[1])
    labels = jnp.where((labels < 0) | (weight == 0), classes, labels)
    order = jnp.lexsort((-scores, labels))
    labels, weight = labels[order], weight[order]
    outcomes = outcomes[order].T
    first = jnp.searchsorted(labels, jnp.arange(classes + 1))[labels]

    def so_far(which: Array) -> Array:
        total = jnp.cumsum(jnp.where(which, weight[None], 0), axis=1)
        before = jnp.concatenate([jnp.zeros_like(total[:, :1]), total], axis=1)
        return total - before[:, first]

    return Ordered(labels, so_far(outcomes == 1), so_far(outcomes == -1), outcomes)
