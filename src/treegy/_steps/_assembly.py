"""A model taken apart into states, and put together again.

Functions and no methods of `Model`: Equinox makes a PyTree of a bound method, for which it looks through the whole
model each time.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax

from .._describe import differences, listed, path_name
from .._types import PyTree
from ._model_like import M, ModelLike
from ._stacks import over_models, size_of_stack
from ._states import States

# What `states` holds besides what the model carries: the module, which has its own fields.
_OF_MODULE = ("net_params", "net_states", "state")

# The attributes of a model that are touched nowhere else: a field of `Model`, and what `bound_to` sets.
_CARRIED = "_carried"
BOUND = "_bound"


def partitioned(module: PyTree, trainable: PyTree) -> tuple[PyTree, PyTree]:
    """Return the arrays of floats in the module that `trainable` selects, and the rest of it.

    **Raises:** `ValueError` if `trainable` doesn't fit the module.
    """
    leaves, tree = jax.tree.flatten(module)
    arrays = [leaf if eqx.is_inexact_array(leaf) else None for leaf in leaves]
    try:
        if callable(trainable) and jax.tree_util.all_leaves([trainable]):
            picked = [array is not None and trainable(array) for array in arrays]
        else:
            picked = tree.flatten_up_to(eqx.filter(jax.tree.unflatten(tree, arrays), trainable))
            picked = [array is not None for array in picked]
    except Exception as e:
        raise ValueError(
            "`trainable` doesn't fit the module: it is a function of one array at a time, or True and False in the "
            f"place of layers or arrays of the module, as `eqx.partition` takes. {type(e).__name__}: {e}"
        ) from None
    net_params = [leaf if picks else None for leaf, picks in zip(leaves, picked, strict=True)]
    net_states = [None if picks else leaf for leaf, picks in zip(leaves, picked, strict=True)]
    return jax.tree.unflatten(tree, net_params), jax.tree.unflatten(tree, net_states)


def combined(module: PyTree, states: States) -> PyTree:
    """Return the module of some states."""
    if "net_params" not in states or "net_states" not in states:
        raise ValueError("the states of a model with a module have `net_params` and `net_states`.")
    try:
        return eqx.combine(states.net_params, states.net_states)
    except ValueError:
        parts = (states.net_params, states.net_states)
        differ = sorted(name for name, *_ in differences(_paths(module), _paths(*parts)))[:5]
        raise ValueError(
            "`states.net_params` and `states.net_states` don't make up the module any more: they must keep the "
            f"structure that `eqx.partition` gave them. They differ at {listed(differ) or 'their containers'}."
        ) from None


def _paths(*trees: PyTree) -> dict[str, None]:
    return {path_name(path): None for tree in trees for path, _ in jax.tree_util.tree_leaves_with_path(tree)}


def rebuilt(model: M, changes: Mapping[str, PyTree]) -> M:
    """Return a model of the same class with some fields changed, past any `__init__` of the user's."""
    new = object.__new__(type(model))
    for field in dataclasses.fields(model):
        value = changes[field.name] if field.name in changes else getattr(model, field.name)
        object.__setattr__(new, field.name, value)
    return new


def carried_by(model: ModelLike) -> States:
    """Return what an initialized model carries besides the module, which has fields of its own.

    Cheaper than its `states`, which take the module apart.
    """
    carried: States | None = vars(model)[_CARRIED]
    assert carried is not None, "the model isn't initialized"
    return carried


def states_of(model: ModelLike) -> States:
    """Return all states of a model. Within a step: those that the step was given."""
    bound: States | None = vars(model).get(BOUND)
    if bound is not None:
        return bound
    if not model.initialized:
        single = size_of_stack(model) is None
        return model.states_step() if single else over_models(lambda one: one.states_step(), model)
    carried = carried_by(model)
    if model.module is None:
        return carried
    net_params, net_states = partitioned(model.module, model.trainable)
    return carried.update(net_params=net_params, net_states=net_states, state=model.state)


def carrying(model: M, carried: States | None, **fields: Any) -> M:
    """Return a model that carries these states besides its module, past any `__init__` of the user's."""
    return rebuilt(model, {**fields, _CARRIED: carried})


def with_states(model: M, states: States) -> M:
    """Return a model with other states: the same as `replace(states=states)`, without its checks."""
    changes: dict[str, PyTree] = {}
    if model.module is None:
        changes[_CARRIED] = states
    else:
        changes["module"] = combined(model.module, states)
        changes["state"] = states.get("state")
        changes[_CARRIED] = States(**{n: v for n, v in states.items() if n not in _OF_MODULE})
    return rebuilt(model, changes)
