"""What the crossentropies share: how they smooth labels and take logarithms of probabilities."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._checks import check_number
from .._terms._accumulator import safe_divide
from .._terms._elementwise import EPSILON


def clipped(probabilities: Array) -> Array:
    """Return `probabilities` within [ε, 1-ε], so that logarithms and gradients are finite."""
    return jnp.clip(probabilities, EPSILON, 1 - EPSILON)


def log_clipped(probabilities: Array, rest: Array) -> Array:
    """Return the logarithms of `probabilities` within [ε, 1-ε].

    `rest` is 1 minus them. Near 1 logarithms are taken of it, since there `probabilities` are rounded too coarsely.
    """
    return jnp.where(probabilities > 0.5, jnp.log1p(-clipped(rest)), jnp.log(clipped(probabilities)))


def log_distribution(y_pred: Array, axis: int) -> Array:
    """Return the logarithms of `y_pred`, made to sum to 1 along `axis` and then clipped."""
    # First by the sum as a constant: the gradient of a quotient overflows where the square of the divisor underflows.
    y_pred = safe_divide(y_pred, jax.lax.stop_gradient(jnp.sum(y_pred, axis=axis, keepdims=True)))
    total = jnp.sum(y_pred, axis=axis, keepdims=True)
    # Of the largest, how much all others make up: 1 minus it would be rounded.
    largest = first_largest(y_pred, axis)
    others = jnp.sum(jnp.where(largest, jnp.zeros_like(y_pred), y_pred), axis=axis, keepdims=True)
    p = safe_divide(y_pred, total)
    return log_clipped(p, jnp.where(largest, safe_divide(others, total), 1 - p))


def log_softmax(logits: Array, axis: int) -> Array:
    """Return the logarithms of the softmax of `logits`: those near 0 aren't rounded to multiples of those of 1."""
    logits = logits - jax.lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True))
    # The sum of all powers but that of the largest, which is 1.
    powers = jnp.where(first_largest(logits, axis), jnp.expm1(logits), jnp.exp(logits))
    return logits - jnp.log1p(jnp.sum(powers, axis=axis, keepdims=True))


def log_of_others(y_pred: Array, axis: int, *, from_logits: bool) -> Array:
    """Return the logarithms of 1 minus each probability, which is what all others make up.

    Probabilities are made to sum to 1 along `axis`, and what logarithms are taken of is clipped; of logits it isn't.
    """
    largest = first_largest(y_pred, axis)
    if from_logits:
        logs = log_softmax(y_pred, axis)
        # Only the largest may be so near 1 that 1 minus it would be rounded.
        others = jax.nn.logsumexp(jnp.where(largest, -jnp.inf, logs), axis=axis, keepdims=True)
        return jnp.where(largest, others, jnp.log1p(-jnp.exp(jnp.where(largest, -1, logs))))
    y_pred = safe_divide(y_pred, jax.lax.stop_gradient(jnp.sum(y_pred, axis=axis, keepdims=True)))
    total = jnp.sum(y_pred, axis=axis, keepdims=True)
    others = jnp.sum(jnp.where(largest, jnp.zeros_like(y_pred), y_pred), axis=axis, keepdims=True)
    p = safe_divide(y_pred, total)
    return log_clipped(jnp.where(largest, safe_divide(others, total), 1 - p), p)


def first_largest(values: Array, axis: int) -> Array:
    """Return which of the values is the largest along an axis: of equal ones, the first.

    By its index. The compiler may compute the values twice and round them otherwise, and then none equals the maximum.
    """
    index = jnp.argmax(values, axis=axis, keepdims=True)
    return jax.lax.broadcasted_iota(index.dtype, values.shape, axis % values.ndim) == index


def smoothed(y_true: Array, label_smoothing: ArrayLike, classes: int) -> Array:
    """Return labels drawn towards the uniform distribution over `classes`."""
    smoothing = jnp.asarray(label_smoothing, y_true.dtype)
    return y_true * (1 - smoothing) + smoothing / classes


def check_label_smoothing(label_smoothing: ArrayLike) -> None:
    check_number("label_smoothing", label_smoothing, lambda s: 0 <= s <= 1, "a number from 0 to 1")
