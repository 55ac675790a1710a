"""What losses and metrics share that compare `y_true` with `y_pred` element by element."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._describe import array_name
from .._errors import ContractError
from ._powers import exponent_of, times_power
from ._saturating import widened
from ._weights import accumulation_dtype

# What keeps divisors and arguments of logarithms away from 0, as in Keras.
EPSILON = 1e-7


def matched(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """`y_true` and `y_pred`, of the same shape, in one floating dtype of at least 32 bits.

    **Raises:** [`treegy.ContractError`][] where their shapes differ, or where one of them isn't of real numbers.
    """
    check_same_shape(y_true, y_pred)
    return in_floats(y_true, y_pred)


def check_same_shape(y_true: Array, y_pred: Array) -> None:
    """Refuse `y_true` and `y_pred` of different shapes: broadcast, they would be compared all with all."""
    if y_true.shape != y_pred.shape:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must have the same shape, since nothing "
            f"is broadcast.{_mend(y_true, y_pred)}"
        )


def in_floats(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """`y_true` and `y_pred` in one floating dtype, in which they are compared: half precision is too coarse for it."""
    y_true, y_pred = all_in_floats({"y_true": y_true, "y_pred": y_pred})
    return y_true, y_pred


def all_in_floats(arrays: Mapping[str, Array]) -> list[Array]:
    """Arrays by their names, in one floating dtype of at least 32 bits. Gradients of them are finite in their own.

    **Raises:** [`treegy.ContractError`][] where one of them isn't of real numbers.
    """
    for name, value in arrays.items():
        if not (is_integer(value) or value.dtype == bool or jnp.issubdtype(value.dtype, jnp.floating)):
            raise ContractError(f"`{name}` is {array_name(value)}, and real numbers are expected.")
    dtype = accumulation_dtype(*(value.dtype for value in arrays.values()))
    return [
        widened(jnp.asarray(value), dtype) if jnp.issubdtype(value.dtype, jnp.floating) else jnp.asarray(value, dtype)
        for value in arrays.values()
    ]


def inner_axis(value: Array, axis: int, of: str) -> int:
    """Return an axis of `y_pred` that isn't that of the batch, counted from the front.

    **Arguments:**

    - `value`: the predictions.
    - `axis`: the axis as the user gave it.
    - `of`: what lies along it, in the plural.

    **Raises:** [`treegy.ContractError`][] where there is no such axis, or where it is the batch.
    """
    front = axis + value.ndim if axis < 0 else axis
    if not 0 < front < value.ndim:
        raise ContractError(
            f"`y_pred` {array_name(value)} has no axis of {of} at `axis={axis}`, besides that of the batch: "
            f"shapes like (batch, {of}) are expected."
        )
    return front


def computed_once(values: Array) -> Array:
    """Return values that are to be compared with some of themselves.

    The compiler may else compute them twice and round them otherwise, and then none equals the maximum.
    """
    return jax.lax.optimization_barrier(values)


def is_integer(value: Array) -> bool:
    return jnp.issubdtype(value.dtype, jnp.integer)


def laid_along(vector: Array, axis: int, ndim: int) -> Array:
    """`vector` as it lies along an axis of arrays of `ndim` axes; a number stays one."""
    return vector.reshape(tuple(-1 if i == axis else 1 for i in range(ndim))) if vector.ndim else vector


def absolute(values: Array) -> Array:
    """Return the absolute values, with the gradient 0 at 0, where that of `jnp.abs` is 1."""
    return values * jax.lax.stop_gradient(jnp.sign(values))


def units(vectors: Array, axis: int) -> Array:
    """`vectors` divided by their lengths, which are bounded from below by ε."""
    largest = jnp.max(jnp.abs(vectors), axis=axis, keepdims=True)
    # Scaled first, so that squares neither underflow nor overflow.
    scale = -exponent_of(jnp.maximum(largest, EPSILON))
    vectors = times_power(vectors, scale)
    squares = jnp.sum(vectors**2, axis=axis, keepdims=True)
    least = times_power(jnp.full_like(squares, EPSILON), scale) ** 2
    return vectors * jax.lax.rsqrt(jnp.where(largest > EPSILON, squares, jnp.maximum(squares, least)))


def mean_over_last_axis(values: Array) -> Array:
    """Average the last axis if that isn't the batch: `(batch, ..., d)` gives `(batch, ...)`, `(batch,)` stays."""
    return mean_over_axis(values, -1)


def mean_over_axis(values: Array, axis: int) -> Array:
    """Return the mean over an axis that isn't the batch. Where there is no other, the last axis is none.

    **Raises:** [`treegy.ContractError`][] where there is no such axis, or where it is the batch.
    """
    if axis == -1 and values.ndim < 2:
        return values
    return jnp.mean(values, axis=inner_axis(values, axis, "values"))


def _mend(y_true: Array, y_pred: Array) -> str:
    if y_pred.shape == (*y_true.shape, 1):
        return (
            " `y_pred` has a last axis of length 1 that `y_true` lacks: pass `y_true[..., None]`, or drop that axis "
            "at the end of the module."
        )
    if y_true.shape == (*y_pred.shape, 1):
        return (
            " `y_true` has a last axis of length 1 that `y_pred` lacks: pass `y_true[..., 0]`, or did the module "
            "forget that axis?"
        )
    if is_integer(y_true) and y_true.shape == y_pred.shape[:-1]:
        return (
            " If `y_true` holds class indices, use the sparse categorical loss or metric, or pass "
            f"`jax.nn.one_hot(y_true, {y_pred.shape[-1]})`."
        )
    return ""
