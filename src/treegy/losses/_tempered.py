"""Logits divided by a temperature, and distributions made of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._crossentropy import log_softmax


def log_tempered(logits: Float[Array, "..."], temperature: Float[Array, ""]) -> Float[Array, "..."]:
    """Return the logarithms of the softmax of `logits / temperature` over the last axis.

    Logits are bounded first, so that differences of what is divided are finite, and with them the gradients.
    """
    bound = float(jnp.finfo(logits.dtype).max) / 8 * jnp.minimum(temperature, 1)
    logits = jnp.clip(logits, -bound, bound)
    # Divided last: the compiler may divide twice and round otherwise, and then none of the quotients is the largest.
    least = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return log_softmax(least / temperature, -1)


def expected(distribution: Array, values: Array) -> Array:
    """Return the mean of values over the last axis. Infinite ones of no probability don't count."""
    return jnp.sum(jnp.where(distribution == 0, jnp.zeros_like(values), distribution * values), axis=-1)
