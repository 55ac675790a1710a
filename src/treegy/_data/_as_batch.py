"""From what users pass to steps, as `x`, `y` and `sample_weight`, to one batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import is_traced, path_name
from .._types import KeyPath, PyTree
from ._as_arrays import as_arrays, common_length, is_plain
from ._batch import Batch
from ._in_32_bits import check_fits_32_bits


def as_batch(x: PyTree, y: PyTree, sample_weight: PyTree, class_weight: PyTree, *, keep_numpy: bool) -> Batch:
    """Return a batch of jax arrays. What is traced stays as it is.

    **Arguments:**

    - `keep_numpy`: whether NumPy's arrays stay as they are: a compiled function takes them faster than `jnp.asarray`.

    **Raises:** [`treegy.DataError`][] for what isn't arrays of the same length.
    """
    given = {"x": x, "y": y, "sample_weight": sample_weight}
    named = {name: _as_arrays(value, name, keep_numpy) for name, value in given.items()}
    common_length(named)
    return Batch(named["x"], named["y"], named["sample_weight"], jax.tree.map(jnp.asarray, class_weight))


def as_inputs(x: PyTree, *, keep_numpy: bool) -> Batch:
    """Return a batch of inputs alone, of any number of examples."""
    return Batch(_as_arrays(x, "x", keep_numpy))


def _as_arrays(value: PyTree, name: str, keep_numpy: bool) -> PyTree:
    if value is None or (keep_numpy and is_plain(value) and value.dtype.itemsize < 8) or is_traced(value):
        return value

    def convert(path: KeyPath, array: Any) -> Any:
        if type(array) is np.ndarray and array.dtype.itemsize >= 8:
            check_fits_32_bits(array, name + path_name(path))
        return array if keep_numpy and type(array) is np.ndarray else jnp.asarray(array)

    return jax.tree_util.tree_map_with_path(convert, as_arrays(value, name))


def as_shapes(x: PyTree, y: PyTree, sample_weight: PyTree) -> Batch:
    """Return a batch of arrays and of the shapes that were passed for some."""

    def as_shape(leaf: object) -> object:
        return leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf)

    batch: Batch = jax.tree.map(as_shape, Batch(x, y, sample_weight))
    return batch
