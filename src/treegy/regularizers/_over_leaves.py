"""Sums over the leaves of parameters: what regularizers share."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._checks import check_number
from .._errors import ContractError
from .._terms._weights import accumulation_dtype
from .._types import PyTree


def sum_over_leaves(fn: Callable[[Array], Array], parameters: PyTree, where: PyTree) -> Array:
    """Return the sum of `fn`, an elementwise function with real values, over all elements of the selected leaves.

    **Arguments:**

    - `fn`: the function.
    - `parameters`: a PyTree, of which only floating and complex arrays count.
    - `where`: which of them: a function of a leaf, or a PyTree prefix of booleans. All by default.

    **Raises:** [`treegy.ContractError`][] where `where` selects none of those there are.
    """
    arrays = eqx.filter(parameters, eqx.is_inexact_array)
    chosen = jax.tree.leaves(arrays if where is None else eqx.filter(arrays, where))
    if not chosen and jax.tree.leaves(arrays):
        raise ContractError(f"`where` selects none of the {len(jax.tree.leaves(arrays))} parameters there are.")
    # In at least float32 before `fn`: a square of half precision overflows early.
    sums = [jnp.sum(fn(leaf.astype(accumulation_dtype(leaf.dtype)))) for leaf in chosen]
    dtype = accumulation_dtype(*(part.dtype for part in sums))
    return sum((part.astype(dtype) for part in sums), start=jnp.zeros((), dtype))


def times(factor: ArrayLike, total: Array) -> Array:
    """Return a number times a sum, in the dtype of the sum."""
    return jnp.asarray(factor, total.dtype) * total


def check_factor(name: str, factor: ArrayLike) -> None:
    """Refuse a factor that is negative or not finite."""
    check_number(name, factor, lambda f: 0 <= f < float("inf"), "a finite number that isn't negative")
