"""Ratios of the four counts: precision, recall, specificity, negative predictive value."""

from typing import ClassVar

from jaxtyping import Array

from ..._terms._accumulator import Sum
from .._accumulators._value_of import ValueOf
from ._averages import Average, ratio
from ._binary_counts import Counts
from ._of_counts import AveragedOverClasses


class RatioOfCounts(AveragedOverClasses):
    """The share of one count in the sum of two."""

    of: ClassVar[tuple[str, str]]
    """The count, and what is added to it in the denominator."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _ratio, of=self.of, average=self.average, zero_division=self.zero_division)


def _ratio(counts: Array, of: tuple[str, str], average: Average, zero_division: float) -> Array:
    by_name = Counts(*counts)
    part, rest = (getattr(by_name, name) for name in of)
    support = by_name.true_positives + by_name.false_negatives
    return ratio(part, part + rest, support, average, zero_division)


class Precision(RatioOfCounts):
    r"""How many of the positive predictions are right, $TP / (TP + FP)$; `zero_division` where there are none.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`; what is above the threshold is
    predicted as 1. Integer `y_true` `(batch, ...)` with scores `(batch, ..., classes)` of several classes holds class
    indices, and counts as the one-hot labels do. Counts are weighted, and exact however long the epoch. A label that is
    neither 0 nor 1, a class index that isn't from 0 to `classes` - 1, or a prediction that is NaN, makes the value NaN.

    **Raises:** `ValueError` where a threshold isn't from 0 to 1, where `top_k` is less than 1, or where `average` or
    `zero_division` is unknown. [`treegy.ContractError`][] where the shapes of `y_true` and `y_pred` differ, or where
    they have no class `class_id` or fewer than `top_k`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.Precision()
        assert abs(float(precision(jnp.array([0, 1, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) - 2 / 3) < 1e-6
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_positives", "false_positives")


class Recall(RatioOfCounts):
    r"""How many of the positive labels were predicted, $TP / (TP + FN)$; `zero_division` where there are none.

    What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        recall = tg.metrics.Recall()
        assert abs(float(recall(jnp.array([0, 1, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) - 2 / 3) < 1e-6
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_positives", "false_negatives")


class Specificity(RatioOfCounts):
    r"""How many of the negative labels were predicted, $TN / (TN + FP)$; `zero_division` where there are none.

    What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        specificity = tg.metrics.Specificity()
        assert float(specificity(jnp.array([0, 0, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) == 0.5
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_negatives", "false_positives")


class NegativePredictiveValue(RatioOfCounts):
    r"""How many of the negative predictions are right, $TN / (TN + FN)$; `zero_division` where there are none.

    What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        value = tg.metrics.NegativePredictiveValue()
        assert float(value(jnp.array([0, 0, 1, 1]), jnp.array([0.0, 1.0, 0.0, 1.0]))) == 0.5
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_negatives", "false_negatives")
