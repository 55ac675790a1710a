"""Weights and masks: how they line up with values, and what a weight of 0 removes. The only place that applies them."""

import functools
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._describe import array_name, is_arraylike
from .._errors import ContractError
from .._types import PyTree


class Masked(eqx.Module):
    """Values of which some don't count: neither in the numerator nor in the denominator.

    What `call` of a loss or metric may return instead of plain values.
    """

    values: PyTree
    mask: PyTree

    def __init__(self, values: PyTree, mask: PyTree):
        """**Arguments:**

        - `values`: per-example values `(batch, ...)`.
        - `mask`: booleans `(batch, ...)`, true where the value counts; lines up with the leading axes of `values`.
        """
        self.values = values
        self.mask = mask


def accumulation_dtype(*dtypes: Any) -> Any:
    """Return the dtype in which values of all `dtypes` are summed: at least float32."""
    inexact = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.inexact)]
    # A conversion that is meant, also where JAX was told to refuse those that aren't.
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, inexact, jnp.dtype(jnp.float32))


def as_summand(values: PyTree) -> Array:
    """`values` as an array in the dtype in which it is summed."""
    values = jnp.asarray(values)
    return values.astype(accumulation_dtype(values.dtype))


def lined_up(by: Array, values: Array, name: str) -> Array:
    """`by` `(batch, ...)` with trailing axes of length 1, so that it lines up with the leading axes of `values`.

    **Raises:** [`treegy.ContractError`][] where the axes differ. Nothing is broadcast along a leading axis.
    """
    if by.ndim > values.ndim or by.shape != values.shape[: by.ndim]:
        raise ContractError(
            f"`{name}` {array_name(by)} doesn't line up with the values {array_name(values)}: its axes must be "
            f"the leading axes of the values{_squeeze_hint(by, values, name)}."
        )
    return by.reshape(by.shape + (1,) * (values.ndim - by.ndim))


def _squeeze_hint(by: Array, values: Array, name: str) -> str:
    if by.ndim > 1 and by.shape[-1] == 1 and by.shape[:-1] == values.shape[: by.ndim - 1]:
        return f". Pass `{name}[..., 0]`"
    return ""


def weigh(values: PyTree, weight: PyTree = None, mask: PyTree = None) -> tuple[Array, Array, Array]:
    """Values, their weights and whether they count, all of the values' shape.

    A value of weight zero, or that is masked, becomes zero even if it was NaN: it is selected away, not multiplied.
    """
    values = as_summand(values)
    weights = jnp.ones_like(values)
    counts = jnp.ones(values.shape, bool)
    if mask is not None:
        mask = jnp.asarray(mask)
        counts = counts & lined_up(mask.astype(bool), values, "mask")
        weights = jnp.where(counts, weights, jnp.zeros_like(weights))
    if weight is not None:
        weight = jnp.asarray(weight).astype(values.dtype)
        weights = weights * lined_up(weight, values, "sample_weight")
    if mask is not None or weight is not None:
        weighted = jnp.where(weights != 0, values, jnp.zeros_like(values)) * weights
    else:
        weighted = values
    return weighted, weights, counts


def cleared(examples: PyTree, weight: PyTree) -> PyTree:
    """Return `examples` with 0 for what isn't finite where the weight is 0.

    The value of such an example is selected away, but differentiating it would still give 0 times NaN. Where the
    weights have more axes than line up with an array, what they are about is absent if all of them are 0.
    """
    absent = jnp.logical_not(weight)

    def clear(leaf: PyTree) -> PyTree:
        if not is_arraylike(leaf) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        pairs = zip(leaf.shape, absent.shape, strict=False)
        shared = next((i for i, (a, b) in enumerate(pairs) if a != b), min(leaf.ndim, absent.ndim))
        if shared == 0:
            return leaf
        gone = jnp.all(absent, axis=tuple(range(shared, absent.ndim)))
        gone = gone.reshape(gone.shape + (1,) * (leaf.ndim - shared))
        return jnp.where(gone & ~jnp.isfinite(leaf), jnp.zeros_like(leaf), leaf)

    return jax.tree.map(clear, examples)


def cleared_where_unweighted(examples: PyTree, weights: PyTree) -> PyTree:
    """Return `examples` with 0 for what isn't finite where every one of `weights`, a PyTree of them, is 0."""
    leaves = [jnp.asarray(w) for w in jax.tree.leaves(weights) if is_arraylike(w) and len(w.shape) > 0]
    if not leaves or any(leaf.shape[0] != leaves[0].shape[0] for leaf in leaves):
        return examples
    if len(leaves) == 1:
        return cleared(examples, leaves[0])
    present = [jnp.any(leaf.astype(bool), axis=tuple(range(1, leaf.ndim))) for leaf in leaves]
    return cleared(examples, functools.reduce(operator.or_, present))
