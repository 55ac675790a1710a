"""How much likelier a prediction is for positive labels than for negative ones."""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._averages import Average, as_zero_division, ratio
from ._binary_counts import Counts
from ._of_counts import AveragedOverClasses


class LikelihoodRatio(AveragedOverClasses):
    """The share of one of the two predictions among the positive labels, over that among the negative ones."""

    # Static, since it belongs to what is made of the counts.
    zero_division: float = eqx.field(default=math.nan, kw_only=True, static=True, converter=as_zero_division)
    """What the metric value of a class is where its denominator is 0: 0, 1 or NaN, which means of classes leave out.
    NaN by default, since 0 would be the best or the worst value of all."""

    of: ClassVar[tuple[str, str]]
    """The counts of that prediction, among the positive labels and among the negative ones."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _of_shares, of=self.of, average=self.average, zero_division=self.zero_division)


def _of_shares(counts: Array, of: tuple[str, str], average: Average, zero_division: float) -> Array:
    by_name = Counts(*counts)
    among_positives, among_negatives = (getattr(by_name, name) for name in of)
    positives = by_name.true_positives + by_name.false_negatives
    negatives = by_name.true_negatives + by_name.false_positives
    # There is no ratio without positive labels either.
    denominator = jnp.where(positives == 0, 0, safe_divide(among_negatives, negatives))
    return ratio(safe_divide(among_positives, positives), denominator, positives, average, zero_division)


class PositiveLikelihoodRatio(LikelihoodRatio):
    r"""How much likelier positive labels are predicted to be positive than negative ones are,
    $\frac{TP}{TP + FN} / \frac{FP}{FP + TN}$: what the odds of a positive label are multiplied with by a positive
    prediction.

    It is `zero_division`, NaN by default, where there are no positive labels or no false positives, as in
    `sklearn.metrics.class_likelihood_ratios`. What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        ratio = tg.metrics.PositiveLikelihoodRatio()
        y_true, y_pred = jnp.array([0, 1, 0, 1, 0]), jnp.array([1.0, 1.0, 0.0, 0.0, 0.0])
        assert abs(float(ratio(y_true, y_pred)) - 1.5) < 1e-6
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_positives", "false_positives")


class NegativeLikelihoodRatio(LikelihoodRatio):
    r"""How much likelier positive labels are predicted to be negative than negative ones are,
    $\frac{FN}{TP + FN} / \frac{TN}{FP + TN}$: what the odds of a positive label are multiplied with by a negative
    prediction.

    It is `zero_division`, NaN by default, where there are no positive labels or no true negatives, as in
    `sklearn.metrics.class_likelihood_ratios`. What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        ratio = tg.metrics.NegativeLikelihoodRatio()
        y_true, y_pred = jnp.array([0, 1, 0, 1, 0]), jnp.array([1.0, 1.0, 0.0, 0.0, 0.0])
        assert abs(float(ratio(y_true, y_pred)) - 0.75) < 1e-6
        ```
    """

    of: ClassVar[tuple[str, str]] = ("false_negatives", "true_negatives")
