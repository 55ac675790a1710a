"""Typed PRNG keys as the data that they consist of: a program's arguments and results are arrays of numbers."""

import jax

from .._describe import is_key
from .._types import AnyArray, PyTree


def data_of(array: PyTree) -> PyTree:
    """Return an array, or the key data of an array of keys. What is traced will do."""
    return jax.random.key_data(array) if is_key(array) else array


def data_shape(array: PyTree) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of that, of an array or a shape."""
    weak = isinstance(array, jax.Array) and jax.typeof(array).weak_type
    if is_key(array):
        return jax.eval_shape(data_of, jax.ShapeDtypeStruct(array.shape, array.dtype))
    return jax.ShapeDtypeStruct(array.shape, array.dtype, weak_type=weak)


def as_keys(data: PyTree, like: PyTree) -> PyTree:
    """Return the array whose data this is, of the kind that `like` is, which may be a shape."""
    return jax.random.wrap_key_data(data, impl=_implementation(like)) if is_key(like) else data


def _implementation(like: AnyArray | jax.ShapeDtypeStruct) -> PyTree:
    found: list[PyTree] = []

    def note(keys: jax.Array) -> jax.Array:
        found.append(jax.random.key_impl(keys))
        return jax.random.key_data(keys)

    # It can be asked of arrays alone, and of a shape there is one within a trace.
    jax.eval_shape(note, jax.ShapeDtypeStruct(like.shape, like.dtype))
    return found[0]
