"""Powers of two as scales: products of what they divide neither underflow nor overflow, and nothing is rounded."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

# Less than the exponent of any number, and of a product of two.
LOWEST = -(2**16)


def exponent_of(values: Float[Array, "..."]) -> Int[Array, "..."]:
    """Return the exponents of the powers of two next below `values` in magnitude; `LOWEST` for 0 and non-finite."""
    bits, mantissa, bias = _layout(values.dtype)
    stored = (jax.lax.bitcast_convert_type(jax.lax.stop_gradient(values), bits) >> mantissa) & (2 * bias + 1)
    normal = (stored > 0) & (stored <= 2 * bias)
    return jnp.where(normal, stored - bias, LOWEST).astype(jnp.int32)


def times_power(values: Float[Array, "..."], exponent: Int[Array, "..."]) -> Float[Array, "..."]:
    """`values` times powers of two."""
    bits, mantissa, bias = _layout(values.dtype)
    exponent = jnp.clip(exponent, 2 - 2 * bias, 2 * bias).astype(bits)
    # In two steps, since the power may be too large or too small for a number where the product isn't.
    for part in (exponent // 2, exponent - exponent // 2):
        values = values * jax.lax.bitcast_convert_type((part + bias) << mantissa, values.dtype)
    return values


def without_unit(arrays: Sequence[Float[Array, "..."]], axis: int | tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Return arrays of one shape divided by a power of two, the one next below the largest of all of them along `axis`.

    What is a quotient of their squares is what it was, and is neither lost nor infinite at any magnitude.
    """
    largest = functools.reduce(jnp.maximum, (jnp.max(jnp.abs(a), axis=axis, keepdims=True) for a in arrays))
    exponent = exponent_of(largest)
    # Of zeros alone nothing is to be divided: their gradients would be multiplied by the largest power there is.
    return [times_power(a, jnp.where(exponent == LOWEST, 0, -exponent)) for a in arrays]


def _layout(dtype: DTypeLike) -> tuple[Any, int, int]:
    """Return the integers that numbers are read as, how many bits their mantissas have, and what is added to their
    exponents."""
    return (jnp.int64, 52, 1023) if dtype == jnp.float64 else (jnp.int32, 23, 127)
