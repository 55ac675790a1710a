"""Mappings that JAX doesn't know as PyTrees: `UserDict`, scikit-learn's `Bunch`, files of `np.savez`, HDF5's groups."""

from collections.abc import Mapping

import jax

from .._describe import is_arraylike, is_iterator
from .._types import PyTree


def is_mapping(value: object) -> bool:
    """Whether `value` is a mapping, also one that isn't registered as such, as Zarr's groups are."""
    if isinstance(value, Mapping):
        return True
    if is_arraylike(value) or hasattr(value, "__array__") or isinstance(value, type):
        return False
    return all(hasattr(value, name) for name in ("keys", "__getitem__", "__iter__", "__len__"))


def as_dicts(value: object) -> PyTree:
    """Return `value` with dicts in place of mappings that JAX takes for leaves. What they hold is not copied."""

    def as_dict(leaf: PyTree) -> PyTree:
        if is_arraylike(leaf) or not is_mapping(leaf):
            return leaf
        return {key: as_dicts(leaf[key]) for key in leaf.keys()}

    return jax.tree.map(as_dict, value, is_leaf=is_iterator)
