"""The precision at every threshold, averaged over the recall that is gained there."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import flag, integer
from ..._terms._accumulator import Sum, safe_divide
from ..._terms._classes import class_axis
from .._accumulators._shared import Derived, Source, source
from .._accumulators._value_of import ValueOf
from ._averages import Average, as_average, as_zero_division, check_zero_division, ratio
from ._threshold_histogram import at_thresholds, buckets, buckets_at, spread_thresholds


class AveragePrecision(Derived):
    r"""The precision at every threshold, averaged over the recall that is gained there, $\sum_t (R_t - R_{t + 1}) P_t$.

    Unlike [`treegy.metrics.AUC`][] with `curve="PR"`, nothing is interpolated.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. Precision and recall are known at
    `num_thresholds` thresholds only: predictions between two of them can't be told apart. A label that is neither 0 nor
    1, or a prediction that is NaN, makes the metric value NaN.

    **Raises:** `ValueError` where there are less than two thresholds, or `average` or `zero_division` is unknown.
    [`treegy.ContractError`][] where the shapes differ, or where there is no axis of classes to average over.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.AveragePrecision()
        assert abs(float(precision(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.4, 0.35, 0.8]))) - 5 / 6) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    # All static: they fix the shape of what is accumulated, or belong to what is made of it.
    num_thresholds: int = eqx.field(
        default=200,
        kw_only=True,
        static=True,
        converter=integer("num_thresholds", "how many thresholds there are", least=2),
    )
    """At how many thresholds precision and recall are known, evenly spread from 0 to 1."""
    average: Average = eqx.field(default="micro", kw_only=True, static=True, converter=as_average)
    """`"micro"` counts all classes together; `None` gives a metric value of each class, an index along the last axis;
    `"macro"` their mean, and `"weighted"` that weighted by how often each class is the label."""
    zero_division: float = eqx.field(default=0.0, kw_only=True, static=True, converter=as_zero_division)
    """What the metric value is of a class without positive labels: 0, 1 or NaN, which means of classes leave out."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""

    def __check_init__(self) -> None:
        check_zero_division(self.zero_division)

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        thresholds = spread_thresholds(self.num_thresholds)
        if self.average == "micro":
            return buckets_at(thresholds, from_logits=self.from_logits)
        return source(_buckets_of_classes, thresholds=thresholds, from_logits=self.from_logits)

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _average_precision, average=self.average, zero_division=self.zero_division)


def _buckets_of_classes(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    thresholds: tuple[float, ...],
    from_logits: bool,
) -> Sum:
    class_axis(y_true, y_pred)
    return buckets(y_true, y_pred, sample_weight, thresholds=thresholds, from_logits=from_logits, per_class=True)


def _average_precision(
    histogram: Float[Array, "2 buckets classes"], average: Average, zero_division: float
) -> Float[Array, "..."]:
    counts = at_thresholds(histogram)
    precision = safe_divide(counts.true_positives, counts.true_positives + counts.false_positives)
    # At the last threshold nothing is positive. What lies between two has the precision of the lower one.
    gained = counts.true_positives[:-1] - counts.true_positives[1:]
    positives = jnp.sum(histogram[1], axis=0)
    return ratio(jnp.sum(gained * precision[:-1], axis=0), positives, positives, average, zero_division)
