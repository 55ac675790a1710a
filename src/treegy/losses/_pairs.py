"""The pairs of examples within a batch, for losses that compare them with each other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from .._describe import array_name
from .._errors import ContractError
from .._terms._accumulator import safe_divide
from .._terms._elementwise import all_in_floats, is_integer, units
from .._terms._weights import lined_up

# Why such a loss can't keep these laws, in the words of `treegy.testing`.
OF_PAIRS = {
    "batching": "the value of an example depends on the others of its batch",
    "repetition": "an example that is there twice makes a pair with itself",
}


def embedded(y_true: Array, y_pred: Array, sample_weight: ArrayLike | None) -> tuple[Array, Array]:
    """Return the embeddings `y_pred` in floats, and which are there: those whose weight isn't 0. The rest become 0.

    **Raises:** [`treegy.ContractError`][] where they aren't labels `(batch,)` and embeddings `(batch, d)`.
    """
    if y_true.ndim != 1 or y_pred.ndim != 2 or y_true.shape != y_pred.shape[:1]:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must be labels and embeddings: shapes "
            "like (batch,) and (batch, d) are expected."
        )
    if not is_integer(y_true):
        raise ContractError(f"`y_true` is {array_name(y_true)}, and labels of an integer dtype are expected.")
    (embeddings,) = all_in_floats({"y_pred": y_pred})
    if sample_weight is None:
        return embeddings, jnp.ones(y_true.shape, bool)
    present = lined_up(jnp.asarray(sample_weight), y_true, "sample_weight") != 0
    return jnp.where(present[:, None], embeddings, jnp.zeros_like(embeddings)), present


def pairs(labels: Array, present: Array) -> tuple[Bool[Array, "..."], Bool[Array, "..."]]:
    """Return which examples have the same label as each example, and which have another, `(batch, batch)`.

    What isn't present is in no pair; each example has its own label.
    """
    same = labels[:, None] == labels[None, :]
    return same & present[None, :], ~same & present[None, :]


class Similarities(NamedTuple):
    """Of all pairs of labelled embeddings within a batch, `(batch, batch)`."""

    similar: Float[Array, "batch batch"]
    """Their cosine similarities, divided by the temperature."""
    positive: Bool[Array, "batch batch"]
    """Whether another example has the same label."""
    negative: Bool[Array, "batch batch"]
    """Whether it has another label."""

    def mean_over_positives(self, values: Array) -> tuple[Float[Array, "batch"], Bool[Array, "batch"]]:
        """Return the mean of the values of each example with those of its label, and whether there are any."""
        values = jnp.where(self.positive, values, jnp.zeros_like(values))
        count = jnp.sum(self.positive, axis=1)
        return safe_divide(jnp.sum(values, axis=1), count.astype(values.dtype)), count > 0


def similarities(y_true: Array, y_pred: Array, temperature: ArrayLike, sample_weight: ArrayLike | None) -> Similarities:
    """Return the similarities of the examples whose weight isn't 0.

    **Raises:** [`treegy.ContractError`][] where they aren't labels `(batch,)` and embeddings `(batch, d)`.
    """
    embeddings, present = embedded(y_true, y_pred, sample_weight)
    embeddings = units(embeddings, 1)
    same, negative = pairs(y_true, present)
    similar = embeddings @ embeddings.T / jnp.asarray(temperature, embeddings.dtype)
    return Similarities(similar, others(same), negative)


def others(matrix: Array) -> Array:
    """Return a matrix of pairs without those of an example and itself."""
    return matrix & ~jnp.eye(matrix.shape[0], dtype=bool)


def log_sum_exp(values: Array, where: Array) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    r"""Return $\log \sum_j e^{v_{ij}}$ over the $j$ of `where`, 0 where there are none; and whether there are."""
    some = jnp.any(where, axis=1)
    # Of no values at all it would be an infinity, with gradients that are NaN.
    among = jnp.where(where | ~some[:, None], values, -jnp.inf)
    found = jax.nn.logsumexp(among, axis=1)
    return jnp.where(some, found, jnp.zeros_like(found)), some
