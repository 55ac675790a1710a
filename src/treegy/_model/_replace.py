"""A model with other fields, or with other states."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax

from .._describe import describe, differences, path_name
from .._steps._assembly import carried_by, carrying, rebuilt, with_states
from .._steps._dispatch import is_default
from .._steps._dtype_policy import first_scale
from .._steps._model_like import M, ModelLike
from .._steps._prepare import init_optimizer
from .._steps._stacks import check_stacked
from .._steps._states import States
from .._types import KeyPath, PyTree


def replaced(model: M, fields: dict[str, PyTree]) -> M:
    """What [`treegy.Model.replace`][] does."""
    names = [f.name for f in dataclasses.fields(model) if f.init]
    unknown = [n for n in fields if n not in (*names, "states")]
    if unknown:
        raise TypeError(f"a model has no field `{unknown[0]}` to replace; there are {', '.join(names)}, states.")
    states = fields.pop("states", None)
    if states is not None and not isinstance(states, States):
        raise TypeError(f"`states` is {describe(states)}; `tg.States` are expected.")
    changes = dict(fields)
    if "module" in fields and "state" not in fields and fields["module"] is None:
        changes["state"] = None
    for field in dataclasses.fields(model):
        if field.name in changes and "converter" in field.metadata:
            changes[field.name] = field.metadata["converter"](changes[field.name])
    check_stacked(model, changes)
    new = rebuilt(model, changes)
    new.__check_init__()
    if new.initialized:
        carried = carried_by(new)
        if {"loss", "metrics", "module", "trainable"} & set(fields):
            carried = carried.update(metrics_states=None)
        if model.module is not None and new.module is None:
            carried = carried.update(net_params=None, net_states=None, state=None)
        if "dtype_policy" in fields:
            carried = carried.update(**{"loss_scale": None, **first_scale(new.dtype_policy)})
        if "seed" in fields:
            carried = carried.update(rng=new.seed)
        new = carrying(new, carried)
        if {"module", "trainable", "optimizer"} & set(fields) and carried.get("optimizer_states") is not None:
            new = _with_optimizer_states_of(new, carried.optimizer_states, "optimizer" in fields)
    if states is None:
        return new
    found = with_states(new, states)
    _check_fit(new, found)
    return found


def frozen(model: ModelLike, name: str) -> str:
    """Return why `model.name = ...` is an error, and what to write instead."""
    who = f"a model is frozen: `model.{name} = ...` can't be"
    if name not in (*(f.name for f in dataclasses.fields(model) if f.init), "states"):
        return f"{who}, and it has no field `{name}`. What a model of yours needs is a field of its class."
    return f"{who}. Write `model = model.replace({name}=...)`, which keeps what the model has learned."


# What a schedule is looked up by, and what it has set: with another optimizer it begins again. The counts of moments,
# such as those that Adam corrects its bias by, belong to the moments and stay.
_OF_SCHEDULES: dict[str, tuple[str, ...]] = {
    "ScaleByScheduleState": ("count",),
    "WrappedScheduleState": ("count",),
    "EpochState": ("step", "steps_per_epoch"),
    "InjectHyperparamsState": ("count", "hyperparams"),
    "InjectStatefulHyperparamsState": ("hyperparams", "hyperparams_states"),
    "MultiStepsState": ("gradient_step",),
    "ConditionallyTransformState": ("step",),
    "ConditionallyMaskState": ("step",),
    "AddNoiseState": ("count",),
    "ScheduleFreeState": ("step_count",),
    "ReduceLROnPlateauState": ("scale", "best_value", "plateau_count", "cooldown_count", "count", "avg_value"),
}


class _Held(NamedTuple):
    """An array in the states of an optimizer, and the named tuple that it is a field of."""

    leaf: PyTree
    owner: str
    field: str


def _held(node: PyTree, path: KeyPath = ()) -> dict[str, _Held]:
    """Return the arrays in the states of an optimizer by their paths."""

    def is_named(child: object) -> bool:
        return isinstance(child, tuple) and hasattr(child, "_fields")

    found: dict[str, _Held] = {}
    children = jax.tree_util.tree_leaves_with_path(node, is_leaf=lambda child: child is not node and is_named(child))
    for below, child in children:
        if is_named(child):
            found.update(_held(child, (*path, *below)))
        else:
            field = getattr(below[0], "name", "") if is_named(node) else ""
            found[path_name((*path, *below))] = _Held(child, type(node).__name__, field)
    return found


def _with_optimizer_states_of(model: M, old: PyTree, other_optimizer: bool) -> M:
    if model.optimizer is None or not jax.tree.leaves(model.parameters):
        return carrying(model, carried_by(model).update(optimizer_states=None))
    fresh = init_optimizer(model, model.parameters)
    before, here = _held(old), _held(fresh)

    def kept(path: KeyPath, leaf: PyTree) -> PyTree:
        name = path_name(path)
        held, new = before.get(name), here[name]
        if held is None or held.owner != new.owner:
            return leaf
        if other_optimizer and new.field in _OF_SCHEDULES.get(new.owner, ()):
            return leaf
        same = held.leaf.shape == leaf.shape and held.leaf.dtype == leaf.dtype
        return held.leaf if same else leaf

    fresh = jax.tree_util.tree_map_with_path(kept, fresh)
    return carrying(model, carried_by(model).update(optimizer_states=fresh))


def _check_fit(before: ModelLike, after: ModelLike) -> None:
    """Raise for states of another module, or of another optimizer."""
    for name, here, there in differences(_arrays_in(before.module), _arrays_in(after.module)):
        raise ValueError(
            f"`states` are those of another module: `module{name}` is {here or 'not there'}, and in the states "
            f"{there or 'not there'}. For another module use `replace(module=...)`."
        )
    states = after.states
    if after.optimizer is None or not is_default(after, "init_step", "train_step"):
        return
    if states.get("optimizer_states") is not None and jax.tree.leaves(states.get("net_params")):
        expected = jax.tree.structure(eqx.filter_eval_shape(after.optimizer.init, states.net_params))
        if jax.tree.structure(states.optimizer_states) != expected:
            raise ValueError(
                "`states` are those of another optimizer: the structure of `optimizer_states` is not the model's. "
                "To begin with new ones, pass `states.update(optimizer_states=None)`."
            )


def _arrays_in(module: PyTree) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(module)
    return {path_name(path): describe(leaf) for path, leaf in leaves if eqx.is_array(leaf)}
