"""How many of the positive examples are among those of the highest predictions."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._describe import describe
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Pairs
from ._of_scores import OfScores
from ._threshold_histogram import as_numbers, at_thresholds


def _as_fraction(fraction: Any) -> Any:
    """Return one fraction as a number, and several as a tuple."""
    expected = "`fraction` is a number above 0 up to 1, or a list of such numbers"
    several = as_numbers(fraction if isinstance(fraction, list | tuple | np.ndarray) else [fraction])
    if not isinstance(several, tuple) or isinstance(fraction, bool):
        raise TypeError(f"{expected}, and got {describe(fraction)}.")
    if not several or not all(0 < one <= 1 for one in several):
        raise ValueError(f"{expected}, and got {describe(fraction)}.")
    return several if isinstance(fraction, list | tuple | np.ndarray) else several[0]


class OfFraction(OfScores):
    """A metric value of the examples of the highest predictions, a fraction of all."""

    fraction: float | tuple[float, ...] = eqx.field(default=0.1, static=True, converter=_as_fraction)
    """Of how many of all examples, a number above 0 up to 1. For a list there is a metric value of each."""


class CumulativeGain(OfFraction):
    r"""How many of the positive examples are among a `fraction` of all, those of the highest predictions: if only a
    tenth of all customers can be called, the share that is reached of those who would buy. It is the recall at the
    threshold above which that fraction lies.

    Between two thresholds it is linear, so that of equal predictions as many are positive as on average. Predictions
    that say nothing have the `fraction` itself. It is 0 where there are no positive labels.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. With `num_thresholds`, predictions
    between two of them can't be told apart; with a `capacity`, labels and predictions are kept as they are, of up to
    that many examples, and the metric value is exact. More make it NaN, never the metric value of some of them. A label
    that is neither 0 nor 1, or a prediction that is NaN, makes it NaN.

    **Raises:** `TypeError` or `ValueError` where a fraction isn't above 0 up to 1, where there are less than two
    thresholds, or both `num_thresholds` and a `capacity`. [`treegy.ContractError`][] where the shapes differ, and where
    a batch has more examples than there is room for and no weights that could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        gain = tg.metrics.CumulativeGain([0.25, 0.5], capacity=100)
        y_true, scores = jnp.array([1, 0, 1, 0]), jnp.array([0.9, 0.6, 0.4, 0.2])
        assert gain(y_true, scores).compute().tolist() == [0.5, 0.5]
        ```
    """

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        return self._made_by(_gain, accumulated, fraction=self.fraction)


class Lift(OfFraction):
    r"""How many times as often examples are positive among a `fraction` of all, those of the highest predictions, as
    they are among all: [`treegy.metrics.CumulativeGain`][] divided by the fraction. Predictions that say nothing have
    1.

    What it takes and raises is what [`treegy.metrics.CumulativeGain`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        lift = tg.metrics.Lift(0.25, capacity=100)
        y_true, scores = jnp.array([1, 0, 1, 0]), jnp.array([0.9, 0.6, 0.4, 0.2])
        assert float(lift(y_true, scores)) == 2
        ```
    """

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        return self._made_by(_lift, accumulated, fraction=self.fraction)


def _gain(histogram: Float[Array, "2 buckets 1"], fraction: float | tuple[float, ...]) -> Float[Array, "..."]:
    counts = at_thresholds(histogram[..., 0])
    chosen = counts.true_positives + counts.false_positives
    # From nothing to everything.
    share = safe_divide(chosen, chosen + counts.true_negatives + counts.false_negatives)[::-1]
    gain = safe_divide(counts.true_positives, counts.true_positives + counts.false_negatives)[::-1]
    return jnp.interp(jnp.asarray(fraction, gain.dtype), share, gain)


def _lift(histogram: Float[Array, "2 buckets 1"], fraction: float | tuple[float, ...]) -> Float[Array, "..."]:
    gain = _gain(histogram, fraction)
    return gain / jnp.asarray(fraction, gain.dtype)
