"""A conversion to a wider dtype whose gradient saturates on its way back."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.typing import DTypeLike
from jaxtyping import Array


def widened(values: Array, dtype: DTypeLike) -> Array:
    """`values` in `dtype`, which is at least as wide, with gradients that are finite in the dtype of `values`.

    A gradient that doesn't fit there becomes the largest number of its sign: the transpose of a plain conversion makes
    it infinite, and the parameters NaN with it.
    """
    return _widened.bind(values, dtype=jnp.dtype(dtype))


# A primitive of its own, since nothing public will do: `jax.custom_vjp` has no forward mode, and
# `jax.custom_derivatives.linear_call` can't be batched.
_widened = Primitive("widened")


def _convert(values: Any, *, dtype: DTypeLike) -> Array:
    return jax.lax.convert_element_type(values, dtype)


def _saturated(cotangent: Array, values: Any, *, dtype: DTypeLike) -> list[Array]:
    narrow = values.aval.dtype
    # A bound that both dtypes hold.
    bound = jnp.asarray(jnp.finfo(narrow).max, narrow).astype(cotangent.dtype)
    return [jnp.clip(cotangent, -bound, bound).astype(narrow)]


# The rules of JAX have no types.
_widened.def_impl(_convert)
_widened.def_abstract_eval(lambda values, *, dtype: values.update(dtype=dtype, weak_type=False))
mlir.register_lowering(_widened, mlir.lower_fun(_convert, multiple_results=False))
ad.deflinear2(_widened, _saturated)
batching.defvectorized(_widened)
