"""The pairs of documents of a query of which one is the more relevant."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._terms._accumulator import safe_divide
from ._documents import Documents, documents


def of_pairs(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], loss: Callable[[Array], Array]
) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    """Return the mean over each query's pairs of a loss of the difference of their scores, and which have any pairs.

    **Arguments:**

    - `y_true`, `y_pred`: relevances and scores, as for [`treegy.losses._documents.documents`][].
    - `loss`: takes by how much the more relevant document of a pair has the higher score.
    """
    found = documents(y_true, y_pred)
    better = better_of(found)
    values = jnp.where(better, loss(leads(found)), 0)
    count = jnp.sum(better, axis=(-2, -1))
    return safe_divide(jnp.sum(values, axis=(-2, -1)), count.astype(values.dtype)), count > 0


def better_of(found: Documents) -> Bool[Array, "..."]:
    """Return which document is more relevant than which, both of them being there: `(batch, ..., n, n)`."""
    relevance, present = found.relevance, found.present
    both = present[..., :, None] & present[..., None, :]
    return both & (relevance[..., :, None] > relevance[..., None, :])


def leads(found: Documents) -> Float[Array, "..."]:
    """Return by how much the score of each document is above that of each: `(batch, ..., n, n)`."""
    # What isn't there may have any score, of which gradients would be NaN.
    scores = jnp.where(found.present, found.scores, jnp.zeros_like(found.scores))
    return scores[..., :, None] - scores[..., None, :]
