"""How labels vary and how far predictions are from them: what scores of regression are made of."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._accumulator import Accumulator, Sum
from ..._terms._powers import LOWEST, exponent_of, times_power
from ..._terms._weights import weigh
from .._accumulators._moments import Moments
from .._accumulators._shared import Derived, Source, source
from ._outputs import Scaled, outputs


class Squares(Accumulator):
    """Sums of squares of numbers that are divided by a power of two first, the one next below the largest."""

    total: Sum
    exponents: Array
    """`LOWEST` where all are 0."""

    @staticmethod
    def of(values: Array, weights: Array) -> "Squares":
        """Return the sums of the squares over the first axis."""
        values = jnp.where(weights != 0, values, jnp.zeros_like(values))
        exponents = exponent_of(jnp.max(jnp.abs(values), axis=0, initial=0))
        values = times_power(values, jnp.where(exponents == LOWEST, 0, -exponents)[None])
        return Squares(Sum(jnp.sum(values**2 * weights, axis=0)), exponents)

    def empty(self) -> "Squares":
        return Squares(self.total.empty(), jnp.full_like(self.exponents, LOWEST))

    def merge(self, other: "Squares") -> "Squares":
        exponents = jnp.maximum(self.exponents, other.exponents)
        mine, theirs = (
            one.total.times(times_power(jnp.ones_like(one.total.total), 2 * (one.exponents - exponents)))
            for one in (self, other)
        )
        return Squares(mine.merge(theirs), exponents)

    def compute(self) -> Scaled:
        return Scaled(self.total.compute(), 2 * jnp.where(self.exponents == LOWEST, 0, self.exponents))


class Scores(NamedTuple):
    """What scores are made of, each of one number for every output."""

    squared_errors: Scaled
    """Their sums."""
    varying: Scaled
    """The sums of squared deviations of the labels from their mean."""
    mean: Array
    """Of the labels."""
    weight: Array
    """The sum of the weights."""
    examples: Array
    """How many there are whose weight isn't 0: one number for all outputs."""


class Residuals(Accumulator):
    """How labels vary, and how far predictions are from them: one of each for every output."""

    labels: Moments
    """Of the labels, `(1, outputs)`."""
    squared_errors: Squares
    """`(outputs,)`"""
    examples: Sum
    """How many there are whose weight isn't 0."""

    @staticmethod
    def of(y_true: Array, y_pred: Array, sample_weight: Array | None) -> "Residuals":
        """Return those of a batch.

        **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't `(batch,)` or `(batch, outputs)`.
        """
        y_true, y_pred = outputs(y_true, y_pred)
        _, weights, _ = weigh(y_true, sample_weight)
        return Residuals(
            Moments.of((y_true,), sample_weight),
            Squares.of(y_pred - y_true, weights),
            Sum(jnp.sum(jnp.any(weights != 0, axis=1), dtype=jnp.int32)),
        )

    def empty(self) -> "Residuals":
        return Residuals(self.labels.empty(), self.squared_errors.empty(), self.examples.empty())

    def merge(self, other: "Residuals") -> "Residuals":
        return Residuals(
            self.labels.merge(other.labels),
            self.squared_errors.merge(other.squared_errors),
            self.examples.merge(other.examples),
        )

    def compute(self) -> Scores:
        labels = self.labels.compute()
        varying = Scaled(labels.products[0, 0], 2 * labels.exponents[0])
        mean = self.labels.mean.compute()[0]
        return Scores(self.squared_errors.compute(), varying, mean, labels.weight, self.examples.compute())


def residuals(y_true: Array, y_pred: Array, sample_weight: Array | None) -> Residuals:
    return Residuals.of(y_true, y_pred, sample_weight)


class OfResiduals(Derived):
    """A metric value of residuals."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return source(residuals)
