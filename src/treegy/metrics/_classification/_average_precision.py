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
from .._regression._pairs import Kept, Pairs, kept
from ._averages import Average, as_average, as_zero_division, check_zero_division, ratio
from ._exact_histogram import DEFAULT_THRESHOLDS, as_capacity, check_capacity, exact_histogram
from ._threshold_histogram import at_thresholds, buckets, buckets_at, spread_thresholds, summed


class AveragePrecision(Derived):
    r"""The precision at every threshold, averaged over the recall that is gained there, $\sum_t (R_t - R_{t + 1}) P_t$.

    Unlike [`treegy.metrics.AUC`][] with `curve="PR"`, nothing is interpolated.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. Precision and recall are known at
    `num_thresholds` thresholds only: predictions between two of them can't be told apart. A label that is neither 0 nor
    1, or a prediction that is NaN, makes the metric value NaN.

    With a `capacity`, labels and predictions are kept as they are, of up to that many examples, and the metric value is
    exact: that of `sklearn.metrics.average_precision_score`, with equal predictions and weights. Predictions may then
    be any numbers, such as logits. More examples make it NaN, never the metric value of some of them; examples of
    weight 0 need no room. Memory and time of each step grow with the capacity.

    **Raises:** `ValueError` where there are less than two thresholds, where there are both thresholds and a `capacity`,
    or `average` or `zero_division` is unknown. [`treegy.ContractError`][] where the shapes differ, where there is no
    axis of classes to average over, and where a batch has more examples than there is room for and no weights that
    could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.AveragePrecision()
        assert abs(float(precision(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.4, 0.35, 0.8]))) - 5 / 6) < 1e-6

        exact = tg.metrics.AveragePrecision(capacity=100)
        assert abs(float(exact(jnp.array([0, 0, 1, 1]), jnp.array([-9.0, 8.1, 8.0, 8.2]))) - 5 / 6) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    # All static: they fix the shape of what is accumulated, or belong to what is made of it.
    num_thresholds: int = eqx.field(
        default=DEFAULT_THRESHOLDS,
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
    capacity: int | None = eqx.field(default=None, kw_only=True, static=True, converter=as_capacity)
    """How many examples to keep, so that the metric value is exact. By default none are, and thresholds are used."""

    def __check_init__(self) -> None:
        check_capacity(self.capacity, self.num_thresholds)
        check_zero_division(self.zero_division)

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        if self.capacity is not None:
            return source(kept if self.average == "micro" else _kept_of_classes, capacity=self.capacity)
        thresholds = spread_thresholds(self.num_thresholds)
        if self.average == "micro":
            return buckets_at(thresholds, from_logits=self.from_logits)
        return source(_buckets_of_classes, thresholds=thresholds, from_logits=self.from_logits)

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        of = _average_precision if self.capacity is None else _exact_average_precision
        return ValueOf(accumulated, of, average=self.average, zero_division=self.zero_division)


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


def _kept_of_classes(y_true: Array, y_pred: Array, sample_weight: Array | None, *, capacity: int) -> Pairs:
    class_axis(y_true, y_pred)
    return kept(y_true, y_pred, sample_weight, capacity=capacity)


def _exact_average_precision(pairs: Kept, average: Average, zero_division: float) -> Float[Array, "..."]:
    return _average_precision(exact_histogram(pairs, per_class=average != "micro"), average, zero_division)


def _average_precision(
    histogram: Float[Array, "2 buckets classes"], average: Average, zero_division: float
) -> Float[Array, "..."]:
    counts = at_thresholds(histogram)
    precision = safe_divide(counts.true_positives, counts.true_positives + counts.false_positives)
    # At the last threshold nothing is positive. What lies between two has the precision of the lower one.
    gained = counts.true_positives[:-1] - counts.true_positives[1:]
    positives = jnp.sum(histogram[1], axis=0)
    return ratio(summed(gained * precision[:-1]), positives, positives, average, zero_division)
