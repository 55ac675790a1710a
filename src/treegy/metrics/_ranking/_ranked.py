"""The documents of each query in the order of their scores."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, Shaped

from ..._terms._elementwise import computed_once
from ...losses._documents import documents


class Ranked(NamedTuple):
    """The documents of each query from the highest score on, those that aren't there at the end: `(batch, ..., n)`."""

    relevance: Float[Array, "..."]
    """0 for those that aren't there."""
    scores: Float[Array, "..."]
    present: Bool[Array, "..."]

    @property
    def relevant(self) -> Bool[Array, "..."]:
        return self.relevance > 0

    @property
    def some(self) -> Bool[Array, "..."]:
        """Whether a query has any relevant document: `(batch, ...)`."""
        return jnp.any(self.relevant, axis=-1)

    @property
    def places(self) -> Int[Array, "..."]:
        """The place of each document, from 0 on."""
        return jax.lax.broadcasted_iota(jnp.int32, self.present.shape, self.present.ndim - 1)

    @property
    def ranks(self) -> Float[Array, "..."]:
        """The place of each document, from 1 on."""
        return (self.places + 1).astype(jnp.float32)

    def within(self, k: int | None) -> Bool[Array, "..."]:
        """Return which documents are among the first `k` of their query: all that are there if it is `None`."""
        return self.present if k is None else self.present & (self.places < k)


def ranked(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Ranked:
    """Return the documents of each query in the order of their scores. Equal scores stay in the order they come in.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades. Where one is negative there is no document.
    - `y_pred`: scores of the same shape.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.
    """
    relevance, scores, present = documents(y_true, computed_once(y_pred))
    # By the last key first: what isn't there comes last whatever its score is.
    order = jnp.lexsort((-scores, ~present), axis=-1)
    return Ranked(*(jnp.take_along_axis(a, order, axis=-1) for a in (relevance, scores, present)))


def share(numerator: Array, denominator: Array) -> Array:
    """Return the quotient of two counts, and 0 where there is nothing to divide by."""
    numerator, denominator = (jnp.asarray(a, jnp.float32) for a in (numerator, denominator))
    return numerator / jnp.maximum(denominator, 1)
