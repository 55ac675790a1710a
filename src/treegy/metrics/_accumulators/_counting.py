"""Counting: of what is true, and of what falls into bins. Weighted, or exactly."""

import functools
import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from ..._terms._accumulator import Sum
from ..._terms._weights import accumulation_dtype, weigh


def element_weights(sample_weight: Array | None, values: Array) -> Array | None:
    """Return the weight of each of the values; None where all count alike, so that integers are counted.

    **Raises:** [`treegy.ContractError`][] where the axes don't line up.
    """
    return None if sample_weight is None else weigh(values, sample_weight)[1]


def weighted_at_all(which: Array, weights: Array | None) -> Array:
    """Return which of `which` have a weight that isn't 0."""
    return which if weights is None else which & (weights != 0)


def count(which: Array, weights: Array | None) -> Array:
    """Count what is true along the first axis, or sum its weights."""
    if weights is None:
        return jnp.sum(which, axis=0, dtype=jnp.int32)  # in floats, a sum of ones ends at 2^24
    return jnp.sum(jnp.where(which, weights, jnp.zeros_like(weights)), axis=0)


def histogram(bins: Array, shape: tuple[int, ...], weights: Array | None, dtype: DTypeLike = jnp.float32) -> Sum:
    """Return how often each bin occurs, or the sum of its weights, exactly: a sum of this shape.

    **Arguments:**

    - `bins`: integers of any shape, none of them negative: from 0 to `prod(shape) - 1`, in the order of `shape`. Those
        beyond aren't counted.
    - `shape`: that of the bins.
    - `weights`: of the shape of `bins`.
    - `dtype`: of what is counted, if there are no weights. Sums are at least of float32.
    """
    bins, length = bins.reshape(-1), math.prod(shape)
    if weights is None:
        found = counted(_scattered(bins, length, jnp.ones(bins.shape, jnp.int32)), dtype)
    else:
        found = _weighted_histogram(bins, length, weights.reshape(-1))
    return jax.tree.map(lambda a: a.reshape(shape), found)


def _scattered(bins: Array, length: int, values: Array) -> Array:
    return jnp.zeros(length, values.dtype).at[bins].add(values, mode="drop")


_BLOCK = 2**20


def _weighted_histogram(bins: Array, length: int, weights: Array) -> Sum:
    """Return the sum of the weights of each bin, as if in twice the precision.

    Scattered one by one, floats lose what is small against the sum so far, up to all of it. So weights are written as
    multiples of a unit, which integers add up exactly; what is left over is small enough to be added as it is. Of a
    block of $2^s$ weights each is at most $2^{30 - s}$ units: where that is coarser than what the sum of a block
    rounds, a second, finer unit takes what the first left over.
    """
    size = len(bins)
    block = max(1, min(size, _BLOCK))
    blocks = max(1, -(-size // block))
    if blocks > 1:
        place = bins + jax.lax.iota(bins.dtype, size) // block * length
        bins = jnp.where(bins < length, place, blocks * length)
    log_size = (block - 1).bit_length()
    bits = 30 - log_size
    finite = jnp.isfinite(weights)
    # Gradients are those of what is left over, and so of the weights.
    fixed = jax.lax.stop_gradient(weights)
    largest = jnp.max(jnp.where(finite, jnp.abs(fixed), jnp.zeros_like(fixed)), initial=2.0**-60)
    # A power of 2, found by rounding alone: not every device divides exactly.
    exponent_bits = jnp.finfo(weights.dtype).nexp
    unit = 2 * jax.lax.reduce_precision(largest * 2.0**-bits, exponent_bits, mantissa_bits=0)
    found: list[Sum] = []
    for _ in range(1 if log_size <= bits else 2):
        units = jnp.where(finite, jnp.round(weights / unit), jnp.zeros_like(weights))
        weights = weights - units * unit
        sums = _scattered(bins, blocks * length, units.astype(jnp.int32)).reshape(blocks, length)
        # The sums of up to 2^15 blocks don't overflow when high and low bits are added apart.
        for piece, scale in ((sums >> 15, 2.0**15), (sums & 0x7FFF, 1.0)) if blocks > 1 else ((sums, 1.0),):
            exact = counted(jnp.sum(piece, axis=0), weights.dtype)
            found.append(jax.tree.map(lambda a: a * (unit * scale), exact))  # noqa: B023
        unit = unit * 2.0**-bits
    rest = jnp.sum(_scattered(bins, blocks * length, weights).reshape(blocks, length), axis=0)
    total = functools.reduce(lambda a, b: a.merge(b), found)
    # What isn't finite shows.
    bad = ~jnp.isfinite(rest)
    return Sum(jnp.where(bad, rest, total.total), total.rest + jnp.where(bad, jnp.zeros_like(rest), rest))


def counted(counts: Array, dtype: DTypeLike = jnp.float32) -> Sum:
    """Return counts as a sum, which stays exact.

    **Arguments:**

    - `counts`: integers or sums of weights, of any shape.
    - `dtype`: of what was counted. Sums are at least of float32.
    """
    total = counts.astype(accumulation_dtype(dtype, counts.dtype))
    if not jnp.issubdtype(counts.dtype, jnp.integer):
        return Sum(total)
    # What the float rounds away of an integer beyond 2^24.
    return Sum(total, (counts - total.astype(counts.dtype)).astype(total.dtype))


def sum_of_integers(values: Array) -> Sum:
    """Return the sum of integers, exact also where floats or 32 bits aren't enough for it."""
    size, width = max(1, values.size), 8 * values.dtype.itemsize
    # As many bits at a time as can be added up without overflowing.
    bits = max(1, min(16, 31 - size.bit_length()))
    found: list[Sum] = []
    for low in range(0, width, bits):
        piece = jnp.right_shift(values, jnp.asarray(low, values.dtype))
        if low + bits < width:
            piece = jnp.bitwise_and(piece, jnp.asarray(2 ** min(bits, width - 1) - 1, values.dtype))
        exact = counted(jnp.sum(piece.astype(jnp.int32), dtype=jnp.int32))
        found.append(Sum(exact.total * 2.0**low, exact.rest * 2.0**low))
    return functools.reduce(lambda a, b: a.merge(b), found)


def spoiled(sums: Sum, invalid: Array) -> Sum:
    """Return sums that are NaN where what was counted is invalid.

    **Arguments:**

    - `sums`: of any shape.
    - `invalid`: of a shape that lines up with the last axes of theirs.
    """
    invalid = jnp.broadcast_to(invalid, sums.total.shape)
    return Sum(jnp.where(invalid, jnp.nan, sums.total), jnp.where(invalid, jnp.zeros_like(sums.rest), sums.rest))
