"""A PyTree as a flat list of its arrays and a hashable rest: what compiled programs are looked up by.

`jax.jit` over a list of arrays costs a fraction of what it costs over a tree of modules.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._types import PyTree


class Static:
    """Everything in a PyTree that isn't an array: hashable, and equal for those that one program serves."""

    def __init__(self, tree: PyTree, others: tuple[Any, ...]):
        self.tree = tree
        self.others = others
        self._hash = hash((tree, others))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Static)
            and self._hash == other._hash
            and self.tree == other.tree
            and self.others == other.others
        )


class _Hole:
    """Where an array goes."""


_HOLE = _Hole()


# Classes of arrays that have been met: asking `isinstance` of `jax.Array` takes much longer.
_ARRAYS: set[type] = {np.ndarray}


def _is_array(leaf: object) -> bool:
    if isinstance(leaf, jax.Array | np.ndarray):
        _ARRAYS.add(type(leaf))
        return True
    return False


def hashable_partition(tree: PyTree) -> tuple[list[PyTree], Static]:
    """Return the arrays of a PyTree, and the rest of it."""
    leaves, structure = jax.tree.flatten(tree)
    arrays: list[PyTree] = []
    others: list[PyTree] = []
    for leaf in leaves:
        if type(leaf) in _ARRAYS or _is_array(leaf):
            arrays.append(leaf)
            others.append(_HOLE)
        else:
            others.append(leaf)
    return arrays, Static(structure, tuple(others))


def hashable_combine(arrays: Sequence[PyTree], frozen: Static) -> PyTree:
    """Return the PyTree of these arrays."""
    source = iter(arrays)
    return jax.tree.unflatten(frozen.tree, [next(source) if v is _HOLE else v for v in frozen.others])


def without_arrays(frozen: Static) -> PyTree:
    """Return the PyTree with `None` for its arrays: for what depends on the rest of it alone."""
    return jax.tree.unflatten(frozen.tree, [None if v is _HOLE else v for v in frozen.others])


class Shapes:
    """What a trace depends on of arrays: equal for those of the same structure, shapes and dtypes."""

    def __init__(self, values: PyTree):
        leaves, tree = jax.tree.flatten(values)
        # As jax has them: 64 bits as 32, unless it is told otherwise. So what is equal here is one trace there.
        self.key = (tree, tuple((a.shape, _kept(a.dtype), getattr(a, "weak_type", False)) for a in leaves))
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shapes) and self.key == other.key

    @property
    def structs(self) -> Any:
        """The values, with `jax.ShapeDtypeStruct`s for the arrays."""
        tree, leaves = self.key
        structs = [jax.ShapeDtypeStruct(shape, dtype, weak_type=weak) for shape, dtype, weak in leaves]
        return jax.tree.unflatten(tree, structs)


def _kept(dtype: Any) -> Any:
    if dtype.itemsize < 8:
        return dtype
    return dtype if jnp.issubdtype(dtype, jax.dtypes.extended) else jax.dtypes.canonicalize_dtype(dtype)
