"""The documents of queries: what losses and metrics of rankings compare."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._converters import OneOf
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import in_floats


class Documents(NamedTuple):
    """The documents of each query, `(batch, ..., documents)`."""

    relevance: Float[Array, "..."]
    """0 for those that aren't there."""
    scores: Float[Array, "..."]
    present: Bool[Array, "..."]


def documents(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Documents:
    """Return the documents of each query.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades. Where one is negative there is no document.
    - `y_pred`: scores of the same shape.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.
    """
    if y_true.shape != y_pred.shape or y_true.ndim < 2:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must be a relevance and a score for each "
            "document of a query: both of a shape like (batch, documents)."
        )
    relevance, scores = in_floats(y_true, y_pred)
    present = relevance >= 0
    return Documents(jnp.where(present, relevance, jnp.zeros_like(relevance)), scores, present)


as_gain = OneOf("gain", "linear", "exponential")


def gains(relevance: Array, gain: str) -> Array:
    """Return what documents of these relevances r are worth: r, or 2^r - 1."""
    return relevance if gain == "linear" else jnp.expm1(relevance * jnp.log(2.0).astype(relevance.dtype))
