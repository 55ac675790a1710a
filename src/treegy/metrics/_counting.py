"""Counting: of what is true, and of what falls into bins. Weighted, or exactly."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .._accumulator import Sum, accumulation_dtype, weigh


def element_weights(sample_weight: Array | None, values: Array) -> Array | None:
    """The weight of each of the values; None where all count alike, so that integers are counted.

    **Raises:** [`treegy.ContractError`][] where the axes don't line up.
    """
    return None if sample_weight is None else weigh(values, sample_weight)[1]


def weighted_at_all(which: Array, weights: Array | None) -> Array:
    """Which of `which` have a weight that isn't 0."""
    return which if weights is None else which & (weights != 0)


def count(which: Array, weights: Array | None) -> Array:
    """How many are true along the first axis, or the sum of their weights."""
    if weights is None:
        return jnp.sum(which, axis=0, dtype=jnp.int32)  # in floats, a sum of ones ends at 2^24
    return jnp.sum(jnp.where(which, weights, jnp.zeros_like(weights)), axis=0)


def histogram(bins: Array, length: int, weights: Array | None) -> Array:
    """How often each bin from 0 to `length - 1` occurs, or the sum of its weights; a bin of `length` isn't counted.

    **Arguments:**

    - `bins`: integers of any shape, none of them negative.
    - `length`: how many bins there are.
    - `weights`: of the same shape.
    """
    ones = jnp.ones(bins.shape, jnp.int32) if weights is None else weights
    return jnp.zeros(length, ones.dtype).at[bins.reshape(-1)].add(ones.reshape(-1), mode="drop")


def counted(counts: Array, invalid: Array, dtype: Any = jnp.float32) -> Sum:
    """Counts as a sum, which goes on being exact.

    **Arguments:**

    - `counts`: integers or sums of weights, of any shape.
    - `invalid`: where the counts are to be NaN, of the same shape or a scalar.
    - `dtype`: of what was counted. Sums are at least of float32.
    """
    total = counts.astype(accumulation_dtype(dtype, counts.dtype))
    rest = jnp.zeros_like(total)
    if jnp.issubdtype(counts.dtype, jnp.integer):
        # What the float rounds away of an integer beyond 2^24.
        rest = (counts - total.astype(counts.dtype)).astype(total.dtype)
    return Sum(jnp.where(invalid, jnp.nan, total), jnp.where(invalid, jnp.zeros_like(rest), rest))
