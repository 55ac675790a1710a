"""What the crossentropies share: how they smooth labels and take logarithms of probabilities."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._accumulator import safe_divide
from ._elementwise import EPSILON
from ._number import check_number


def clipped(probabilities: Array) -> Array:
    """`probabilities` within [ε, 1-ε], so that logarithms and gradients are finite."""
    return jnp.clip(probabilities, EPSILON, 1 - EPSILON)


def log_distribution(y_pred: Array, axis: int) -> Array:
    """The logarithms of `y_pred`, made to sum to 1 along `axis`."""
    # First by the sum as a constant: the gradient of a quotient overflows where the square of the divisor underflows.
    y_pred = safe_divide(y_pred, jax.lax.stop_gradient(jnp.sum(y_pred, axis=axis, keepdims=True)))
    return jnp.log(clipped(safe_divide(y_pred, jnp.sum(y_pred, axis=axis, keepdims=True))))


def smoothed(y_true: Array, label_smoothing: ArrayLike, classes: int) -> Array:
    """Labels drawn towards the uniform distribution over `classes`."""
    smoothing = jnp.asarray(label_smoothing, y_true.dtype)
    return y_true * (1 - smoothing) + smoothing / classes


def check_label_smoothing(label_smoothing: ArrayLike) -> None:
    check_number("label_smoothing", label_smoothing, lambda s: 0 <= s <= 1, "a number from 0 to 1")
