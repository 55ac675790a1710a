"""The harmonic mean of precision and recall, of which one may count more than the other."""

import abc

import equinox as eqx
from jaxtyping import Array

from ..._converters import fixed_number
from ..._terms._accumulator import Sum
from .._accumulators._shared import Source
from .._accumulators._value_of import ValueOf
from ._averages import Average, as_average, check_average, ratio
from ._binary_counts import Counts, Thresholds, as_thresholds, check_thresholds, counts_at
from ._of_counts import OfCounts


def _f_beta(counts: Array, average: Average, beta: float, zero_division: float) -> Array:
    right, false_positives, false_negatives, _ = Counts(*counts)
    numerator = (1 + beta**2) * right
    denominator = numerator + beta**2 * false_negatives + false_positives
    return ratio(numerator, denominator, right + false_negatives, average, zero_division)


class FScore(OfCounts):
    """What `FBetaScore` and `F1Score` share."""

    average: Average = eqx.field(default=None, kw_only=True, static=True, converter=as_average)
    """`None` gives a value of each class; `"micro"` counts all classes together, `"macro"` is the mean over classes,
    and `"weighted"` that weighted by how often each class is the label."""
    threshold: Thresholds | None = eqx.field(default=None, kw_only=True, converter=as_thresholds)
    """What is above it is predicted as 1; or a list of them, for a value at each, along a first axis. By default it is
    the largest prediction along the last axis: all of equal ones, and none where that is 0."""

    def __check_init__(self) -> None:
        check_thresholds(self.threshold, "threshold")
        check_average(self.average, self.class_id, of_one=(None, "micro"))

    def _average(self) -> Average:
        # Of one class, there is nothing to tell apart.
        return "micro" if self.class_id is not None else self.average

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        per_class = self._average() != "micro"
        return counts_at(self.threshold, top_k=self.top_k, class_id=self.class_id, per_class=per_class, largest=True)

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        beta = self._weight_of_recall()
        return ValueOf(accumulated, _f_beta, average=self._average(), beta=beta, zero_division=self.zero_division)

    @abc.abstractmethod
    def _weight_of_recall(self) -> float:
        """Return how many times as much recall counts as precision."""


class FBetaScore(FScore):
    r"""The weighted harmonic mean of precision $P$ and recall $R$,
    $(1 + \beta^2) \frac{P R}{\beta^2 P + R} = \frac{(1 + \beta^2) TP}{(1 + \beta^2) TP + \beta^2 FN + FP}$.

    `y_true` is 0 or 1 (or boolean), one-hot for several classes, and of the shape of `y_pred`,
    `(batch, ..., classes)`; or it holds class indices, integers `(batch, ...)`. With `average="micro"` and a
    `threshold`, any shape will do. With several thresholds there is an axis of them before that of the classes. A label
    that is neither 0 nor 1, a class index that isn't from 0 to `classes` - 1, or a prediction that is NaN, makes the
    value NaN.

    **Raises:** `ValueError` where `beta` isn't positive, a threshold isn't from 0 to 1, `average` or `zero_division` is
    unknown, `top_k` is less than 1, or where both `class_id` and an average over classes are given.
    [`treegy.ContractError`][] where the shapes differ, where there is no axis of several classes, or they have no class
    `class_id` or fewer than `top_k`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.FBetaScore(beta=2.0, threshold=0.5)
        y_true = jnp.array([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
        y_pred = jnp.array([[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
        metric_values = score(y_true, y_pred).compute()
        assert jnp.allclose(metric_values, jnp.array([0.3846154, 0.90909094, 0.8333334]))
        ```
    """

    # Static, since it belongs to what is made of the counts.
    beta: float = eqx.field(
        default=1.0, kw_only=True, static=True, converter=fixed_number("beta", "a positive number", lambda b: b > 0)
    )
    r"""How many times as much recall counts as precision, $\beta > 0$."""

    def _weight_of_recall(self) -> float:
        return self.beta


class F1Score(FScore):
    r"""The harmonic mean of precision and recall, $2 TP / (2 TP + FN + FP)$.

    What it takes and raises is what [`treegy.metrics.FBetaScore`][] does with `beta=1`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.F1Score(average="macro")
        y_true = jnp.array([[1, 0], [0, 1], [0, 1]])
        y_pred = jnp.array([[0.8, 0.2], [0.7, 0.3], [0.1, 0.9]])
        assert abs(float(score(y_true, y_pred)) - 2 / 3) < 1e-6
        ```
    """

    def _weight_of_recall(self) -> float:
        return 1.0
