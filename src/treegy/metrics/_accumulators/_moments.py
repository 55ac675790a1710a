"""Means, variances and covariances of some variables, which metric values such as correlations are made of."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._powers import LOWEST, exponent_of, times_power
from ..._terms._weights import as_summand, weigh


class Statistics(NamedTuple):
    """Sums over some examples of $k$ variables."""

    weight: Array
    """Of the shape of one metric value."""
    apart: Array
    """`(k, ...)`: how far each mean is from the first, which means that are rounded don't tell."""
    products: Array
    """`(k, k, ...)`: of deviations from the means, each divided by the scale of its variable."""
    exponents: Array
    """`(k, ...)`: the scales are 2 to the power of these."""


class Moments(Accumulator):
    r"""Weighted means and covariances of $k$ variables over some examples.

    Kept are $\sum_i w_i$, the means $\bar v_j$, and the sums of products of deviations
    $\sum_i w_i (v_{ij} - \bar v_j)(v_{il} - \bar v_l)$: never sums of squares, in which a variance that is small
    against the mean would be lost. Means are kept in twice the precision, so that they keep moving however many
    batches there are. Deviations are divided by a power of two first, the one next below the largest, so that their
    products neither underflow nor overflow; nothing is rounded by it.

    ??? cite

        Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*, Technical
        Report STAN-CS-79-773, Stanford University (1979).
    """

    weight: Sum
    """Of the shape of one metric value."""
    mean: Sum
    """`(k, ...)`"""
    products: Sum
    """`(k, k, ...)`, of deviations that are divided by the scales of their variables."""
    exponents: Array
    """`(k, ...)`: the scales are 2 to the power of these; `LOWEST` where nothing deviates."""

    @staticmethod
    def of(variables: Sequence[ArrayLike], weight: ArrayLike | None = None, mask: ArrayLike | None = None) -> "Moments":
        """Return the moments over the first axis.

        **Arguments:**

        - `variables`: arrays of the same shape `(batch, ...)`: there are moments for each element of the other axes.
        - `weight`, `mask`: `(batch, ...)`, lining up with the leading axes of the variables.

        **Raises:** [`treegy.ContractError`][] where the axes don't line up.
        """
        values = jnp.stack([as_summand(v) for v in variables])
        _, weights, _ = weigh(values[0], weight, mask)
        weights, zeros = weights[None], jnp.zeros_like(values)
        counts = weights != 0
        total = jnp.sum(weights, axis=1, keepdims=True)

        def mean(of: Array) -> Array:
            return safe_divide(jnp.sum(of * weights, axis=1, keepdims=True), total)

        values = jnp.where(counts, values, zeros)
        # A mean lies between the extremes. By rounding it may not, and then deviations of equal values aren't 0.
        low = jnp.min(jnp.where(counts, values, jnp.inf), axis=1, keepdims=True)
        high = jnp.max(jnp.where(counts, values, -jnp.inf), axis=1, keepdims=True)
        rough = jnp.where(total == 0, 0, jnp.clip(mean(values), low, high))
        deviations = jnp.where(counts, values - rough, zeros)
        # What the rounding of the first mean left over.
        lacking = mean(deviations)
        deviations = jnp.where(counts, deviations - lacking, zeros)
        exponents = exponent_of(jnp.max(jnp.abs(deviations), axis=1, initial=0))
        deviations = times_power(deviations, -_used(exponents)[:, None])
        products = jnp.sum((deviations * weights)[:, None] * deviations[None], axis=2)
        return Moments(Sum(total[0, 0]), Sum(rough[:, 0]).merge(Sum(lacking[:, 0])), Sum(products), exponents)

    def empty(self) -> "Moments":
        lowest = jnp.full_like(self.exponents, LOWEST)
        return Moments(self.weight.empty(), self.mean.empty(), self.products.empty(), lowest)

    def scaled(self, exponents: Array) -> Sum:
        """Return the products by other scales, which are at least its own."""
        factors = times_power(jnp.ones_like(self.mean.total), self.exponents - exponents)
        return self.products.times(factors[:, None]).times(factors[None])

    def merge(self, other: "Moments") -> "Moments":
        weight = self.weight.merge(other.weight)
        mine, theirs = self.weight.compute(), other.weight.compute()
        share = safe_divide(theirs, weight.compute())
        apart = (other.mean.total - self.mean.total) + (other.mean.rest - self.mean.rest)
        mean = self.mean.merge(Sum(apart * share[None]))
        # Exactly theirs where there is nothing here, which a difference is only nearly.
        mean = jax.tree.map(lambda a, b: jnp.where(mine[None] == 0, b, a), mean, other.mean)
        # What is apart from nothing is no deviation.
        apart = jnp.where((mine != 0) & (theirs != 0), apart, jnp.zeros_like(apart))
        exponents = jnp.maximum(jnp.maximum(self.exponents, other.exponents), exponent_of(apart))
        apart = times_power(apart, -_used(exponents))
        between = apart[:, None] * apart[None] * (mine * share)[None, None]
        products = self.scaled(exponents).merge(other.scaled(exponents)).merge(Sum(between))
        return Moments(weight, mean, products, exponents)

    def compute(self) -> "Statistics":
        """Return what metric values are made of."""
        total, rest = self.mean.total, self.mean.rest
        apart = (total - total[:1]) + (rest - rest[:1])
        return Statistics(self.weight.compute(), apart, self.products.compute(), _used(self.exponents))


def _used(exponents: Array) -> Array:
    """Return the exponents by which deviations are divided: not at all where all of them are 0."""
    return jnp.where(exponents == LOWEST, 0, exponents)
