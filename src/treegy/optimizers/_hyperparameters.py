"""The hyperparameters that an optimizer keeps in its state, where they can be seen and changed.

`optax.inject_hyperparams` makes such a state, and so does [`treegy.Optimizer`][]: a node with a dict `hyperparams`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from .._describe import is_arraylike, listed
from .._types import PyTree
from ._nodes import nodes


def _is_holder(node: PyTree) -> bool:
    return isinstance(getattr(node, "hyperparams", None), Mapping)


def _holders(states: PyTree) -> list[PyTree]:
    """Return the nodes with hyperparameters, also inside of each other."""
    found: list[PyTree] = []
    for node in nodes(states, _is_holder):
        found += [node, *_holders(getattr(node, "inner_state", None))]
    return found


def _named(states: Mapping[str, PyTree]) -> list[tuple[str, Array]]:
    holders, axes = _holders(states.get("optimizer_states")), _axes(states)
    return [(n, v) for h in holders for n, v in h.hyperparams.items() if is_arraylike(v) and v.ndim == axes]


def has_hyperparameters(states: Mapping[str, PyTree]) -> bool:
    """Whether the states of a model hold any."""
    return bool(_named(states))


def _axes(states: Mapping[str, PyTree]) -> int:
    """Return how many axes a number has in the states of a model: one in a stack of models."""
    return getattr(states.get("step"), "ndim", 0)


def hyperparameters(states: Mapping[str, PyTree]) -> dict[str, Any]:
    """Return the numbers in the states of a model by their names; those that occur again have a number behind.

    Those of a stack are arrays `(models,)`.
    """
    arrays = {name: np.asarray(value) for name, value in hyperparameter_arrays(states).items()}
    return {name: array if array.ndim else float(array) for name, array in arrays.items()}


def hyperparameter_arrays(states: Mapping[str, PyTree]) -> dict[str, Array]:
    """Return the same as arrays, which may be traced."""
    found: dict[str, Array] = {}
    for name, value in _named(states):
        new, i = name, 0
        while new in found:
            i += 1
            new = f"{name}_{i}"
        found[new] = value
    return found


def free_hyperparameters(states: Mapping[str, PyTree]) -> dict[str, Array]:
    """Return the arrays in the states of a model that no schedule sets, by name, which may be traced.

    Names that occur again have a number behind.
    """
    found: dict[str, Array] = {}
    for holder in _holders(states.get("optimizer_states")):
        scheduled = getattr(holder, "hyperparams_states", None) or {}
        for name, value in holder.hyperparams.items():
            if name not in scheduled and is_arraylike(value) and value.ndim == _axes(states):
                found[name if name not in found else f"{name}_{len(found)}"] = value
    return found


def with_hyperparameter(states: Mapping[str, PyTree], name: str, value: ArrayLike) -> PyTree:
    """Return the `optimizer_states` among the states of a model, with another value of a hyperparameter.

    **Raises:** `ValueError` if there is none of that name, or if it follows a schedule, which would set it back.
    """
    names = [n for n, _ in _named(states)]
    if name not in names:
        there = f"; there are {listed(names)}" if names else ""
        raise ValueError(
            f"the optimizer keeps no `{name}` that could be changed{there}: make it with "
            f"`optax.inject_hyperparams(optax.adam)(learning_rate=...)`, or with `tg.Optimizer`."
        )

    def changed(node: PyTree) -> PyTree:
        if not _is_holder(node):
            return node
        updates = {}
        if name in node.hyperparams:
            if name in (getattr(node, "hyperparams_states", None) or {}):
                raise ValueError(f"`{name}` follows a schedule, which would set it back in the next step.")
            old = node.hyperparams[name]
            updates["hyperparams"] = {
                **node.hyperparams,
                name: jnp.broadcast_to(jnp.asarray(value, old.dtype), old.shape),
            }
        if getattr(node, "inner_state", None) is not None:
            updates["inner_state"] = jax.tree.map(changed, node.inner_state, is_leaf=_is_holder)
        return node._replace(**updates)

    return jax.tree.map(changed, states["optimizer_states"], is_leaf=_is_holder)
