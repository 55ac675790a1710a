"""`DetectionMAP`: how well the objects of images are found, each by a box around it."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ..._converters import flag, integer
from ..._describe import describe
from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from ..._types import PyTree
from ...losses._box_iou import Layout, check_boxes
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


class DetectionMAP(Metric):
    r"""How well the objects of images are found, each by a box around it: COCO's mean average precision of boxes, the
    mean over thresholds of IoU and over the classes that occur of

    $$
    \frac{1}{101} \sum_{r \in \{0, 0.01, \dots, 1\}} \max_{i : R_i \ge r} P_i
    $$

    where $P_i$ is the precision, and $R_i$ the recall, of the $i$ boxes of the highest scores in all images. A box that
    is found is right if its IoU with one that is there, of its class and image, is at least the threshold. From the
    highest score on each takes the one that it overlaps most of those that nobody has taken, as in pycocotools.

    **Accepts:** dicts, with the names of torchmetrics. Of each image there are `n` boxes that are there, and `m` that
    are found. Where the label is -1 there is none, and the others of its numbers don't matter.

    - `y_true`: `"boxes"` `(batch, n, 4)` and `"labels"` `(batch, n)`, integers from 0 to below `num_classes`. Maybe
        `"iscrowd"` `(batch, n)`, 1 for a box around many objects: it needn't be found, and the boxes of which that part
        lies in it don't count.
    - `y_pred`: `"boxes"` `(batch, m, 4)`, `"scores"` and `"labels"` `(batch, m)`.

    Any other label, and a NaN of a box or score, makes the metric value NaN. Classes that don't occur are left out, and
    it is 0 where none does. `sample_weight` `(batch,)` weighs images.

    It can't be had from sums: scores, and which boxes are right, are kept of up to `capacity` images, and within it the
    metric value is exact for any batching. More make it NaN, never a metric value of some of them; images of weight 0
    need no room. Of the same score, boxes are in the order in which images came. Kept are $2 + T$ numbers of each
    of the `m` boxes of an image, for $T$ thresholds.

    **Raises:** `TypeError` or `ValueError` where an option is out of range. [`treegy.ContractError`][] where the values
    aren't these, and where a batch has more images than there is room for and no weights that could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        meant = {"boxes": jnp.array([[[0.0, 0, 4, 4], [5, 5, 9, 9]]]), "labels": jnp.array([[0, 1]])}
        found = {
            "boxes": jnp.array([[[0.0, 0, 4, 4], [5, 5, 9, 8], [0, 0, 0, 0]]]),
            "scores": jnp.array([[0.9, 0.8, 0.0]]),
            "labels": jnp.array([[0, 1, -1]]),
        }
        metric = tg.metrics.DetectionMAP(num_classes=2, capacity=8)
        # The first is right at all ten thresholds, the second at those up to 0.75.
        assert abs(float(metric(meant, found)) - (1 + 6 / 10) / 2) < 1e-6
        ```

    ??? cite

        Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014.
    """

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
    recall_points: int = eqx.field(
        default=101,
        kw_only=True,
        static=True,
        converter=integer("recall_points", "at how many recalls the precision is averaged", least=2),
    )
    """At how many recalls the precision is averaged."""
    layout: Layout = eqx.field(default="xyxy", kw_only=True, static=True)
    """`"xyxy"` for two corners, `"xywh"` for a corner and the sides, as COCO has it, `"cxcywh"` for the center and the
    sides."""
    by_class: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("by_class"))
    """Whether there is a value for each class, and no mean over them; 0 for those that don't occur."""
    by_threshold: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("by_threshold"))
    """Whether there is a value for each threshold, and no mean over them: the first axis."""

    def __check_init__(self) -> None:
        check_boxes("iou", self.layout)

    def call(self, y_true: PyTree, y_pred: PyTree, sample_weight: Num[Array, "batch"] | None = None) -> ValueOf:
        meant, found = read_boxes(y_true, "y_true"), read_boxes(y_pred, "y_pred")
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
        outcomes = jax.vmap(
            lambda meant, found: outcomes_of(meant, found, self.thresholds, self.layout, self.max_detections)
        )(meant, found)
        classes = jnp.arange(self.num_classes)
        ones = (meant.labels[..., None] == classes[None, None]) & ~meant.crowd[..., None]
        positives = jnp.where(bad[:, None], jnp.nan, jnp.sum(ones, axis=1).astype(jnp.float32))
        weighted, _, _ = weigh(positives, sample_weight)
        kept = kept_examples(tuple(outcomes), sample_weight, self.capacity)
        return ValueOf(
            Detections(kept, Sum(jnp.sum(weighted, axis=0))),
            _mean_average_precision,
            points=self.recall_points,
            by_class=self.by_class,
            by_threshold=self.by_threshold,
        )

    def _bad(self, it: Boxes) -> Array:
        """Return whether an image has a label that isn't a class, or NaN."""
        unordered = jnp.any(jnp.isnan(it.boxes), axis=-1) | jnp.isnan(it.scores)
        unknown = (it.labels < -1) | (it.labels >= self.num_classes)
        return jnp.any(unknown | (unordered & (it.labels != -1)), axis=-1)


def _mean_average_precision(
    of: tuple[KeptExamples, Array], points: int, by_class: bool, by_threshold: bool
) -> Float[Array, "..."]:
    kept, positives = of
    values = _average_precisions(kept, positives, points)
    if not by_class:
        occurs = jnp.where(positives > 0, 1, 0).astype(values.dtype)
        values = safe_divide(jnp.sum(values * occurs[None], axis=1), jnp.sum(occurs))
    values = values if by_threshold else jnp.mean(values, axis=0)
    bad = kept.full | jnp.any(jnp.isnan(positives))
    return jnp.where(bad, jnp.nan, values)


def _average_precisions(
    kept: KeptExamples, positives: Float[Array, "classes"], points: int
) -> Float[Array, "thresholds classes"]:
    labels, scores, outcomes = (a.reshape(-1, *a.shape[2:]) for a in kept.arrays)
    weight = jnp.repeat(kept.weight, kept.arrays[0].shape[1])
    classes = len(positives)
    # Class by class, and in each of them from the highest score on.
    labels = jnp.where((labels < 0) | (weight == 0), classes, labels)
    order = jnp.lexsort((-scores, labels))
    labels, weight = labels[order], weight[order]
    outcomes = outcomes[order].T
    first = jnp.searchsorted(labels, jnp.arange(classes + 1))[labels]

    def so_far(which: Array) -> Array:
        total = jnp.cumsum(jnp.where(which, weight[None], 0), axis=1)
        before = jnp.concatenate([jnp.zeros_like(total[:, :1]), total], axis=1)
        return total - before[:, first]

    right, wrong = so_far(outcomes == 1), so_far(outcomes == -1)
    precision = safe_divide(right, right + wrong)
    of_class = jnp.concatenate([positives, jnp.zeros_like(positives[:1])])[labels]
    reached = _recall_reached(right, of_class[None], points - 1)
    of_thresholds = jnp.arange(len(outcomes))[:, None]
    best = jnp.zeros((len(outcomes), classes, points), precision.dtype)
    best = best.at[of_thresholds, labels[None], reached].max(jnp.where(outcomes == 0, 0, precision), mode="drop")
    return jnp.mean(jax.lax.cummax(best, axis=2, reverse=True), axis=2)


def _recall_reached(right: Array, positives: Array, steps: int) -> Array:
    """Return the last of the recalls 0, 1 / steps, ..., 1 that each box reaches."""
    numbers = np.arange(steps + 1)
    # Some of the recalls of COCO are rounded up, so that what is equal to them doesn't reach them.
    rounded_up = jnp.asarray(np.linspace(0, 1, steps + 1) > numbers / steps)

    def reaches(step: Array) -> Array:
        needed = step.astype(right.dtype) * positives
        # What is left of the rounding of weights that aren't integers.
        tolerance = 1e-6 * needed
        beyond = steps * right - needed
        return jnp.where(rounded_up[step], beyond > tolerance, beyond >= -tolerance)

    step = jnp.floor(steps * safe_divide(right, positives)).astype(jnp.int32) + 1
    step = jnp.clip(step, 0, steps)
    for _ in range(3):
        step = jnp.where(reaches(step), step, step - 1)
    return jnp.maximum(step, 0)
