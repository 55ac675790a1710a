"""The arrays of a model, which of them are trained, and how many numbers and bytes they have."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._describe import is_arraylike
from .._steps._model_like import ModelLike
from .._steps._states import States
from .._types import AnyArray, KeyPath, PyTree


class Leaf(NamedTuple):
    """An array of a model."""

    path: KeyPath
    value: AnyArray | jax.ShapeDtypeStruct
    trainable: bool


def leaves_of(model: ModelLike, states: States) -> list[Leaf]:
    """Return all arrays of the module and of its `eqx.nn.State`, whose entries are where their index is."""
    found: list[Leaf] = []
    for name in ("net_params", "net_states"):
        for path, leaf in jax.tree_util.tree_flatten_with_path(states.get(name))[0]:
            if is_arraylike(leaf):
                found.append(Leaf(path, leaf, name == "net_params" and is_inexact(leaf)))
    state = states.get("state")
    if state is None:
        return found
    is_index = lambda n: isinstance(n, eqx.nn.StateIndex)  # noqa: E731
    for path, index in jax.tree_util.tree_flatten_with_path(model.module, is_leaf=is_index)[0]:
        if is_index(index):
            try:
                entry = state.get(index)
            except KeyError:  # an index of another state
                continue
            found += [Leaf(path, leaf, False) for leaf in jax.tree.leaves(entry) if is_arraylike(leaf)]
    known = {id(leaf.value) for leaf in found}
    found += [Leaf((), leaf, False) for leaf in jax.tree.leaves(state) if id(leaf) not in known]
    return found


def is_inexact(leaf: AnyArray | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def count(values: Iterable[PyTree]) -> tuple[int, int]:
    """Return how many numbers there are, and how many bytes; of an array that occurs twice, once."""
    once = {id(value): value for value in values if is_arraylike(value)}.values()
    counts = [math.prod(value.shape) for value in once]
    return sum(counts), sum(n * value.dtype.itemsize for n, value in zip(counts, once, strict=True))
