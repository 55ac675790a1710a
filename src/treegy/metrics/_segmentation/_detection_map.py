"""`DetectionMAP`: how well the objects of images are found, each by a box around it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from .._representations._examples import KeptExamples
from ._of_detections import Detections, OfDetections, mean_over, ordered


class DetectionMAP(OfDetections):
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
        lies in it don't count; and `"area"` `(batch, n)` for `area_range`, as COCO has it, else that of the box.
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

    recall_points: int = eqx.field(
        default=101,
        kw_only=True,
        static=True,
        converter=integer("recall_points", "at how many recalls the precision is averaged", least=2),
    )
    """At how many recalls the precision is averaged."""

    def _metric_value(self, accumulated: Detections) -> ValueOf:
        return ValueOf(
            accumulated,
            _mean_average_precision,
            points=self.recall_points,
            by_class=self.by_class,
            by_threshold=self.by_threshold,
        )


def _mean_average_precision(
    of: tuple[KeptExamples, Array], points: int, by_class: bool, by_threshold: bool
) -> Float[Array, "..."]:
    return mean_over(_average_precisions(*of, points), of, by_class=by_class, by_threshold=by_threshold)


def _average_precisions(
    kept: KeptExamples, positives: Float[Array, "classes"], points: int
) -> Float[Array, "thresholds classes"]:
    classes = len(positives)
    labels, right, wrong, outcomes = ordered(kept, classes)
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
