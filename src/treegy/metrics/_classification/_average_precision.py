"""The precision at every threshold, averaged over the recall that is gained there."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from ..._terms._classes import class_axis
from .._accumulators._shared import Source, source
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Pairs, kept
from ._averages import Average, as_average, as_zero_division, ratio
from ._of_scores import OfScores
from ._threshold_histogram import at_thresholds, buckets, spread_thresholds, summed


class AveragePrecision(OfScores):
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

    # Static: they fix the shape of what is accumulated, or belong to what is made of it.
    average: Average = eqx.field(default="micro", kw_only=True, static=True, converter=as_average)
    """`"micro"` counts all classes together; `None` gives a metric value of each class, an index along the last axis;
    `"macro"` their mean, and `"weighted"` that weighted by how often each class is the label."""
    zero_division: float = eqx.field(default=0.0, kw_only=True, static=True, converter=as_zero_division)
    """What the metric value is of a class without positive labels: 0, 1 or NaN, which means of classes leave out."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        if self.average == "micro":
            return super()._source(y_true, y_pred)
        if self.capacity is not None:
            return source(_kept_of_classes, capacity=self.capacity)
        thresholds = spread_thresholds(self.num_thresholds)
        return source(_buckets_of_classes, thresholds=thresholds, from_logits=self.from_logits)

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        return self._made_by(
            _average_precision,
            accumulated,
            per_class=self.average != "micro",
            average=self.average,
            zero_division=self.zero_division,
        )


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


def _average_precision(
    histogram: Float[Array, "2 buckets classes"], average: Average, zero_division: float
) -> Float[Array, "..."]:
    counts = at_thresholds(histogram)
    precision = safe_divide(counts.true_positives, counts.true_positives + counts.false_positives)
    # At the last threshold nothing is positive. What lies between two has the precision of the lower one.
    gained = counts.true_positives[:-1] - counts.true_positives[1:]
    positives = jnp.sum(histogram[1], axis=0)
    return ratio(summed(gained * precision[:-1]), positives, positives, average, zero_division)
