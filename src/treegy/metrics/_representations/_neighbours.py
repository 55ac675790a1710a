"""Metrics of neighbours: whether the embeddings nearest to each are of the same label."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import units
from ..._terms._metric import Metric
from ...losses._pairs import embedded, others, pairs
from .._accumulators._value_of import ValueOf
from ._examples import KeptExamples, kept_examples

# Why such a metric can't keep this law, in the words of `treegy.testing`.
OF_NEIGHBOURS = {"repetition": "an example that is there twice has itself for a neighbour"}


class Neighbours(NamedTuple):
    """Each example as a query for the other ones, `(queries, examples)`."""

    similar: Float[Array, "..."]
    """Cosine similarities; negative infinity for the query itself, and for what isn't there."""
    same: Bool[Array, "..."]
    """Which have the label of the query."""


class OfNeighbours(Metric):
    """A metric of the other examples in the order of their similarity to each."""

    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of examples to make room for", least=1),
    )
    """How many examples there is room for."""

    @abc.abstractmethod
    def _of_queries(self) -> tuple[Callable[..., Float[Array, "queries"]], dict[str, int]]:
        """Return a function of a module, which makes a value for each query of neighbours and of options; and these."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        embeddings, _ = embedded(y_true, y_pred, sample_weight)
        function, options = self._of_queries()
        kept = kept_examples((y_true, units(embeddings, 1)), sample_weight, self.capacity)
        return ValueOf(kept, _mean_of_queries, of=function, options=tuple(options.items()))


def _mean_of_queries(
    kept: KeptExamples, of: Callable[..., Array], options: tuple[tuple[str, int], ...]
) -> Float[Array, ""]:
    """Return the mean over the examples that have another one of their label, by their weights."""
    (labels, vectors), weight = kept.arrays, kept.weight
    same, _ = pairs(labels, weight != 0)
    same, there = others(same), others(jnp.broadcast_to(weight != 0, same.shape))
    similar = jnp.matmul(vectors, vectors.T, precision="highest")
    values = of(Neighbours(jnp.where(there, similar, -jnp.inf), same), **dict(options))
    weight = jnp.where(jnp.any(same, axis=1), weight, jnp.zeros_like(weight))
    value = safe_divide(jnp.sum(values * weight), jnp.sum(weight))
    return kept.unless_full(jnp.where(jnp.any(jnp.isnan(vectors)), jnp.full_like(value, jnp.nan), value))
