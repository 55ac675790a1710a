"""Two views of each example of a batch, as embeddings, for losses that compare them."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from .._describe import array_name
from .._errors import ContractError
from .._terms._weights import lined_up
from .._types import PyTree
from ._several import several

# Why a loss of statistics of a batch can't keep these laws, in the words of `treegy.testing`.
OF_STATISTICS = {
    "batching": "the value is of statistics of the batch",
    "repetition": "in the statistics of a batch each example counts once, unless its weight is 0",
}


def two_views(
    y_pred: PyTree, sample_weight: ArrayLike | None
) -> tuple[Float[Array, "..."], Float[Array, "..."], Bool[Array, "..."]]:
    """Return the embeddings of both views in floats, and which are there: those whose weight isn't 0. The rest are 0.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape `(batch, d)`.
    """
    one, other = several(y_pred, ("one view", "the other view"))
    if one.ndim != 2:
        raise ContractError(f"`y_pred[0]` is {array_name(one)}, and embeddings are expected: shapes like (batch, d).")
    there = present(one, sample_weight)
    return cleared(one, there), cleared(other, there), there


def present(embeddings: Array, sample_weight: ArrayLike | None) -> Bool[Array, "..."]:
    """Return which of the examples have a weight that isn't 0, `(batch,)`."""
    if sample_weight is None:
        return jnp.ones(embeddings.shape[:1], bool)
    return lined_up(jnp.asarray(sample_weight), embeddings[:, 0], "sample_weight") != 0


def cleared(embeddings: Array, there: Array) -> Array:
    """Return embeddings, 0 for what isn't there."""
    return jnp.where(there[:, None], embeddings, jnp.zeros_like(embeddings))


def deviations(embeddings: Array, there: Array) -> tuple[Float[Array, "..."], Float[Array, ""]]:
    """Return how far embeddings are from their mean, 0 for what isn't there; and how many there are, at least 1."""
    count = jnp.maximum(jnp.sum(there), 1).astype(embeddings.dtype)
    mean = jnp.sum(embeddings / count, axis=0, keepdims=True)
    return cleared(embeddings - mean, there), count
