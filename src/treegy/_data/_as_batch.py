"""From what users pass to steps, as `x`, `y` and `sample_weight`, to one batch."""

import jax
import jax.numpy as jnp

from .._describe import is_traced, path_name
from .._types import PyTree
from ._as_arrays import as_arrays, common_length
from ._batch import Batch
from ._in_32_bits import in_32_bits


def as_batch(x: PyTree, y: PyTree, sample_weight: PyTree, class_weight: PyTree) -> Batch:
    """Return a batch of jax arrays. What is traced stays as it is.

    **Raises:** [`treegy.DataError`][] for what isn't arrays of the same length.
    """
    named = {name: as_jax(value, name) for name, value in (("x", x), ("y", y), ("sample_weight", sample_weight))}
    common_length(named)
    return Batch(named["x"], named["y"], named["sample_weight"], jax.tree.map(jnp.asarray, class_weight))


def as_jax(value: PyTree, name: str) -> PyTree:
    """Return the jax arrays of one of these values, which errors call `name`."""
    if is_traced(value):
        return value
    arrays = as_arrays(value, name)
    return jax.tree_util.tree_map_with_path(lambda p, a: jnp.asarray(in_32_bits(a, name + path_name(p))), arrays)


def as_shapes(x: PyTree, y: PyTree, sample_weight: PyTree) -> Batch:
    """Return a batch of arrays and of the shapes that were passed for some."""

    def as_shape(leaf: object) -> object:
        return leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf)

    batch: Batch = jax.tree.map(as_shape, Batch(x, y, sample_weight))
    return batch
