"""The best that one metric value can be while another is at least some value, over thresholds."""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import fixed_number, integer
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._over_thresholds import OverThresholds
from ._threshold_histogram import at_thresholds, even_thresholds

PRECISION = ("true_positives", "false_positives")
RECALL = ("true_positives", "false_negatives")
SPECIFICITY = ("true_negatives", "false_positives")


class BestAt(OverThresholds):
    """The highest share of one count, over the thresholds at which another share is high enough."""

    # Static, since it fixes the shape of what is accumulated.
    num_thresholds: int = eqx.field(
        default=200,
        kw_only=True,
        static=True,
        converter=integer("num_thresholds", "how many thresholds there are", least=1),
    )
    """How many thresholds there are to choose from, evenly spread from 0 to 1."""

    best: ClassVar[tuple[str, str]]
    """Of what the share is shown, and what is added to it in the denominator."""
    given: ClassVar[tuple[str, str]]
    """Of what the share has to be high enough."""

    @abc.abstractmethod
    def _least(self) -> float:
        """Return how high is high enough."""

    def _thresholds(self) -> tuple[float, ...]:
        return even_thresholds(self.num_thresholds)

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _best, best=self.best, given=self.given, least=self._least())


def _best(
    histogram: Float[Array, "2 buckets 1"], best: tuple[str, str], given: tuple[str, str], least: float
) -> Float[Array, ""]:
    counts = at_thresholds(histogram)

    def share(of: tuple[str, str]) -> Array:
        part, rest = getattr(counts, of[0]), getattr(counts, of[1])
        return safe_divide(part, part + rest)

    # What isn't known (NaN) isn't less either, and stays NaN.
    return jnp.max(jnp.where(share(given) < least, 0.0, share(best)))


def _as_share(name: str) -> Callable[[float], float]:
    return fixed_number(name, "a number from 0 to 1", lambda v: 0 <= v <= 1)


class PrecisionAtRecall(BestAt):
    r"""The highest precision at a threshold where the recall is at least a value; 0 where there is none.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. A label that is neither 0 nor 1, or a
    prediction that is NaN, makes the metric value NaN.

    **Raises:** `ValueError` where the value isn't from 0 to 1, or where there is no threshold.
    [`treegy.ContractError`][] where the shapes differ, or where they have no class `class_id`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.PrecisionAtRecall(0.5)
        assert float(precision(jnp.array([0, 0, 0, 1, 1]), jnp.array([0.0, 0.3, 0.8, 0.3, 0.8]))) == 0.5
        ```
    """

    # Static, since it belongs to what is made of the counts.
    recall: float = eqx.field(static=True, converter=_as_share("recall"))
    """The least recall, from 0 to 1."""

    best: ClassVar[tuple[str, str]] = PRECISION
    given: ClassVar[tuple[str, str]] = RECALL

    def _least(self) -> float:
        return self.recall


class RecallAtPrecision(BestAt):
    r"""The highest recall at a threshold where the precision is at least a value; 0 where there is none.

    What it takes and raises is what [`treegy.metrics.PrecisionAtRecall`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        recall = tg.metrics.RecallAtPrecision(0.8)
        assert float(recall(jnp.array([0, 0, 1, 1]), jnp.array([0.0, 0.5, 0.3, 0.9]))) == 0.5
        ```
    """

    # Static, since it belongs to what is made of the counts.
    precision: float = eqx.field(static=True, converter=_as_share("precision"))
    """The least precision, from 0 to 1."""

    best: ClassVar[tuple[str, str]] = RECALL
    given: ClassVar[tuple[str, str]] = PRECISION

    def _least(self) -> float:
        return self.precision


class SensitivityAtSpecificity(BestAt):
    r"""The highest recall, or sensitivity, at a threshold where the specificity is at least a value; 0 where there is
    none.

    What it takes and raises is what [`treegy.metrics.PrecisionAtRecall`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sensitivity = tg.metrics.SensitivityAtSpecificity(0.5)
        assert float(sensitivity(jnp.array([0, 0, 0, 1, 1]), jnp.array([0.0, 0.3, 0.8, 0.3, 0.8]))) == 0.5
        ```
    """

    # Static, since it belongs to what is made of the counts.
    specificity: float = eqx.field(static=True, converter=_as_share("specificity"))
    """The least specificity, from 0 to 1."""

    best: ClassVar[tuple[str, str]] = RECALL
    given: ClassVar[tuple[str, str]] = SPECIFICITY

    def _least(self) -> float:
        return self.specificity


class SpecificityAtSensitivity(BestAt):
    r"""The highest specificity at a threshold where the recall, or sensitivity, is at least a value; 0 where there is
    none.

    What it takes and raises is what [`treegy.metrics.PrecisionAtRecall`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        specificity = tg.metrics.SpecificityAtSensitivity(0.5)
        metric_value = float(specificity(jnp.array([0, 0, 0, 1, 1]), jnp.array([0.0, 0.3, 0.8, 0.3, 0.8])))
        assert abs(metric_value - 2 / 3) < 1e-6
        ```
    """

    # Static, since it belongs to what is made of the counts.
    sensitivity: float = eqx.field(static=True, converter=_as_share("sensitivity"))
    """The least sensitivity, from 0 to 1."""

    best: ClassVar[tuple[str, str]] = SPECIFICITY
    given: ClassVar[tuple[str, str]] = RECALL

    def _least(self) -> float:
        return self.sensitivity
