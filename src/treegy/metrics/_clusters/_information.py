"""What classes and clusters tell about each other, and how uncertain each is: of a contingency table, in nats."""

from typing import Literal, NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import OneOf
from ..._terms._accumulator import safe_divide
from ...losses._unit_deviance import unit_deviance

Average: TypeAlias = Literal["arithmetic", "geometric", "min", "max"]

as_average = OneOf[Average]("average", "arithmetic", "geometric", "min", "max")


class Information(NamedTuple):
    """Of a contingency table."""

    mutual: Array
    of_classes: Array
    """The entropy of the classes."""
    of_clusters: Array
    """The entropy of the clusters."""
    trivial: Array
    """Whether all are of one class and in one cluster, or there are no examples: where there is nothing to tell."""

    @staticmethod
    def of(table: Float[Array, "classes clusters"]) -> "Information":
        total = jnp.sum(table)
        shares = safe_divide(table, jnp.broadcast_to(total, table.shape))
        classes, clusters = jnp.sum(shares, axis=1), jnp.sum(shares, axis=0)
        by_chance = classes[:, None] * clusters[None, :]
        there = by_chance > 0
        # Each term isn't negative. The usual sum of logarithms would leave rounding where there is almost nothing.
        terms = unit_deviance(shares, jnp.where(there, by_chance, jnp.ones_like(by_chance)), 1.0) / 2
        mutual = jnp.sum(jnp.where(there, terms, jnp.zeros_like(terms)))
        one_each = (jnp.sum(classes > 0) <= 1) & (jnp.sum(clusters > 0) <= 1)
        # Comparisons lose NaN.
        lost = jnp.where(jnp.isnan(total), total, jnp.zeros_like(total))
        of_classes, of_clusters = _entropy(classes) + lost, _entropy(clusters) + lost
        return Information(mutual + lost, of_classes, of_clusters, one_each & ~jnp.isnan(total))


def _entropy(shares: Array) -> Array:
    there = shares > 0
    logs = jnp.log(jnp.where(there, shares, jnp.ones_like(shares)))
    # The logarithm of a share that rounding left below 1 isn't 0.
    alone = jnp.sum(there) <= 1
    return jnp.where(alone, jnp.zeros_like(shares[0]), -jnp.sum(shares * logs))


def averaged(one: Array, other: Array, average: Average) -> Array:
    """Return the generalized mean of two entropies."""
    if average == "arithmetic":
        return (one + other) / 2
    if average == "geometric":
        return jnp.sqrt(one) * jnp.sqrt(other)
    return jnp.minimum(one, other) if average == "min" else jnp.maximum(one, other)
