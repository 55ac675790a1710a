"""Curves of two metric values that depend on a threshold."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import integer
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._over_thresholds import OverThresholds
from ._threshold_histogram import at_thresholds, spread_thresholds


class Curve(OverThresholds):
    """A curve of predictions of two classes, known at some thresholds."""

    # Static, since it fixes the shape of what is accumulated.
    num_thresholds: int = eqx.field(
        default=200,
        kw_only=True,
        static=True,
        converter=integer("num_thresholds", "how many thresholds there are", least=2),
    )
    """At how many thresholds the curve is known, evenly spread from 0 to 1; the first is below 0, the last above 1."""

    def _thresholds(self) -> tuple[float, ...]:
        return spread_thresholds(self.num_thresholds)


class RocCurve(Curve):
    r"""The rates at which negative and positive examples are predicted to be positive, by threshold.

    `compute` returns an array `(3, num_thresholds)` whose rows are the false positive rate $FP / (FP + TN)$, the true
    positive rate $TP / (TP + FN)$, and the threshold above which a prediction is positive. Thresholds decrease, so that
    the curve goes from (0, 0) to (1, 1). A rate without examples is 0. [`treegy.metrics.AUC`][] is its area.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. A label that is neither 0 nor 1, or a
    prediction that is NaN, makes the rates NaN.

    **Raises:** `ValueError` where there are less than two thresholds. [`treegy.ContractError`][] where the shapes
    differ, or where they have no class `class_id`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        curve = tg.metrics.RocCurve(num_thresholds=3)
        batch = curve(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.6, 0.3, 0.9]))
        false_positive_rate, true_positive_rate, thresholds = batch.compute()
        assert false_positive_rate.tolist() == [0, 0.5, 1]
        assert true_positive_rate.tolist() == [0, 0.5, 1]
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _roc, thresholds=self._thresholds())


class PrecisionRecallCurve(Curve):
    r"""The precision and the recall, by threshold.

    `compute` returns an array `(3, num_thresholds)` whose rows are the precision $TP / (TP + FP)$, the recall
    $TP / (TP + FN)$, and the threshold above which a prediction is positive, in increasing order. Where nothing is
    predicted to be positive, the precision is 1: there the curve ends, at a recall of 0.
    [`treegy.metrics.AveragePrecision`][] is its area.

    What it takes and raises is what [`treegy.metrics.RocCurve`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        curve = tg.metrics.PrecisionRecallCurve(num_thresholds=3)
        batch = curve(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.6, 0.3, 0.9]))
        precision, recall, thresholds = batch.compute()
        assert precision.tolist() == [0.5, 0.5, 1]
        assert recall.tolist() == [1, 0.5, 0]
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _precision_recall, thresholds=self._thresholds())


def _roc(histogram: Float[Array, "2 buckets 1"], thresholds: tuple[float, ...]) -> Float[Array, "3 thresholds"]:
    counts = at_thresholds(histogram)
    false = safe_divide(counts.false_positives, counts.false_positives + counts.true_negatives)
    true = safe_divide(counts.true_positives, counts.true_positives + counts.false_negatives)
    return jnp.stack([false[::-1, 0], true[::-1, 0], jnp.asarray(thresholds[::-1], true.dtype)])


def _precision_recall(
    histogram: Float[Array, "2 buckets 1"], thresholds: tuple[float, ...]
) -> Float[Array, "3 thresholds"]:
    counts = at_thresholds(histogram)
    chosen = counts.true_positives + counts.false_positives
    precision = jnp.where(chosen == 0, 1.0, safe_divide(counts.true_positives, chosen))
    recall = safe_divide(counts.true_positives, counts.true_positives + counts.false_negatives)
    return jnp.stack([precision[:, 0], recall[:, 0], jnp.asarray(thresholds, recall.dtype)])
