"""The root of the mean squared error, in units of the labels."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import OneOf
from ..._terms._accumulator import Accumulator, safe_divide
from ..._terms._powers import times_power
from ..._terms._weights import weigh
from .._accumulators._shared import Derived, Source, source
from .._accumulators._value_of import ValueOf
from .._regression._outputs import Scaled, outputs
from .._regression._residuals import Residuals, Scores, residuals

Normalization: TypeAlias = Literal["mean", "std", "range"]

_as_normalization = OneOf[Normalization]("normalization", "mean", "std", "range")


class WithRange(Accumulator):
    """Residuals, and between which numbers labels are: `(outputs,)` each, infinite where there are none."""

    residuals: Residuals
    low: Array
    high: Array

    def empty(self) -> "WithRange":
        return WithRange(self.residuals.empty(), jnp.full_like(self.low, jnp.inf), jnp.full_like(self.high, -jnp.inf))

    def merge(self, other: "WithRange") -> "WithRange":
        low, high = jnp.minimum(self.low, other.low), jnp.maximum(self.high, other.high)
        return WithRange(self.residuals.merge(other.residuals), low, high)

    def compute(self) -> tuple[Scores, Array]:
        """Return what scores are made of, and the range of each output, 0 where there are no labels."""
        return self.residuals.compute(), jnp.maximum(self.high - self.low, 0)


def with_range(y_true: Array, y_pred: Array, sample_weight: Array | None) -> WithRange:
    """Return the residuals and the range of a batch."""
    found = residuals(y_true, y_pred, sample_weight)
    labels, _ = outputs(y_true, y_pred)
    counts = weigh(labels, sample_weight)[1] != 0
    low, high = (jnp.where(counts, labels, jnp.full_like(labels, end)) for end in (jnp.inf, -jnp.inf))
    return WithRange(found, jnp.min(low, axis=0, initial=jnp.inf), jnp.max(high, axis=0, initial=-jnp.inf))


class NormalizedRootMeanSquaredError(Derived):
    r"""The root of the mean squared error over a measure of the labels,
    $\sqrt{\sum_i w_i (y_i - \hat y_i)^2 / \sum_i w_i} \;/\; s$: NRMSE.

    $s$ is the absolute value of their mean, their standard deviation (of the population), or the difference between the
    largest and the smallest of them. Where it is 0, the value is infinite, or 0 if there are no errors.

    `y_true` and `y_pred` are real numbers of the same shape `(batch,)` or `(batch, outputs)`; of several outputs it is
    the mean. Weights are `(batch,)`, or of that shape.

    **Raises:** `ValueError` where there is no such `normalization`. [`treegy.ContractError`][] where the shapes differ
    or are others.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.NormalizedRootMeanSquaredError(normalization="range")
        assert float(error(jnp.array([1.0, 5.0]), jnp.array([3.0, 3.0]))) == 0.5
        ```
    """

    normalization: Normalization = eqx.field(default="mean", kw_only=True, static=True, converter=_as_normalization)
    """What is divided by: `"mean"`, `"std"` or `"range"` of the labels."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return source(with_range if self.normalization == "range" else residuals)

    def _metric_value(self, accumulated: Accumulator) -> ValueOf:
        if self.normalization == "range":
            return ValueOf(accumulated, _by_range)
        return ValueOf(accumulated, _normalized, by=self.normalization)


def _normalized(scores: Scores, by: Normalization) -> Array:
    if by == "mean":
        return _quotient(scores, jnp.abs(scores.mean))
    return _quotient(scores, _root_of_mean(scores.varying, scores.weight))


def _by_range(computed: tuple[Scores, Array]) -> Array:
    return _quotient(*computed)


def _root_of_mean(sums: Scaled, weight: Array) -> Array:
    """Return the roots of means of squares. Their scales are even powers of two."""
    return times_power(jnp.sqrt(safe_divide(sums.values, weight)), sums.exponents // 2)


def _quotient(scores: Scores, by: Array) -> Array:
    errors = _root_of_mean(scores.squared_errors, scores.weight)
    nothing = jnp.where(errors == 0, jnp.zeros_like(errors), jnp.full_like(errors, jnp.inf))
    return jnp.mean(jnp.where(by == 0, nothing, safe_divide(errors, by)))
