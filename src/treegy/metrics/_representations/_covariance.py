"""The mean and the covariances of vectors: what distances of distributions and ranks are made of."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._weights import as_summand, weigh


class Covariances(NamedTuple):
    """Statistics of some vectors of `d` numbers."""

    weight: Array
    """The sum of the weights."""
    mean: Array
    """`(d,)`"""
    products: Array
    """`(d, d)`: the weighted sums of products of deviations from the mean."""


class Covariance(Accumulator):
    r"""Weights, means, and sums of products of deviations $\sum_i w_i (v_i - \bar v)(v_i - \bar v)^T$ of vectors.

    As [`treegy.metrics.PearsonCorrelation`][] merges those of two variables, but by a product of matrices, for vectors
    of thousands of numbers.
    """

    weight: Sum
    mean: Sum
    """`(d,)`"""
    products: Sum
    """`(d, d)`"""

    @staticmethod
    def of(vectors: Array, sample_weight: Array | None) -> "Covariance":
        """Return those of vectors `(batch, d)`.

        **Raises:** [`treegy.ContractError`][] where the weights don't line up.
        """
        vectors = as_summand(vectors)
        _, weights, _ = weigh(vectors, sample_weight)
        vectors = jnp.where(weights != 0, vectors, jnp.zeros_like(vectors))
        total = jnp.sum(weights[:, 0])
        rough = safe_divide(jnp.sum(vectors * weights, axis=0), jnp.broadcast_to(total, vectors.shape[1:]))
        apart = jnp.where(weights != 0, vectors - rough[None], jnp.zeros_like(vectors))
        # What the rounding of the first mean left over.
        lacking = safe_divide(jnp.sum(apart * weights, axis=0), jnp.broadcast_to(total, vectors.shape[1:]))
        apart = jnp.where(weights != 0, apart - lacking[None], jnp.zeros_like(apart))
        products = jnp.matmul((apart * weights).T, apart, precision="highest")
        return Covariance(Sum(total), Sum(rough).merge(Sum(lacking)), Sum(products))

    def empty(self) -> "Covariance":
        return Covariance(self.weight.empty(), self.mean.empty(), self.products.empty())

    def merge(self, other: "Covariance") -> "Covariance":
        weight = self.weight.merge(other.weight)
        mine, theirs = self.weight.compute(), other.weight.compute()
        share = safe_divide(theirs, weight.compute())
        apart = (other.mean.total - self.mean.total) + (other.mean.rest - self.mean.rest)
        mean = self.mean.merge(Sum(apart * share))
        # Exactly theirs where there is nothing here, which a difference is only nearly.
        mean = Sum(jnp.where(mine == 0, other.mean.total, mean.total), jnp.where(mine == 0, other.mean.rest, mean.rest))
        # What is apart from nothing is no deviation.
        apart = jnp.where((mine != 0) & (theirs != 0), apart, jnp.zeros_like(apart))
        between = Sum(jnp.outer(apart * (mine * share), apart))
        return Covariance(weight, mean, self.products.merge(other.products).merge(between))

    def compute(self) -> Covariances:
        return Covariances(self.weight.compute(), self.mean.compute(), self.products.compute())


def unbiased(statistics: Covariances) -> Array:
    """Return the covariances, divided by one less than the sum of the weights; 0 of one example."""
    less = jnp.maximum(statistics.weight - 1, 0)
    return safe_divide(statistics.products, jnp.broadcast_to(less, statistics.products.shape))
