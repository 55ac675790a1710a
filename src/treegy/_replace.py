"""A model with other fields, or with other states."""

import dataclasses
from typing import Any

import equinox as eqx
import jax

from . import _steps
from ._assembly import rebuilt, with_states
from ._describe import describe, path_name
from ._prepare import init_optimizer
from ._states import States


def replaced(model: Any, fields: dict[str, Any]) -> Any:
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
    new = rebuilt(model, changes)
    new.__check_init__()
    if new._carried is not None:
        carried = new._carried
        if {"loss", "metrics", "module", "trainable"} & set(fields):
            carried = carried.update(metrics_states=None)
        if model.module is not None and new.module is None:
            carried = carried.update(net_params=None, net_states=None, state=None)
        if "seed" in fields:
            carried = carried.update(rng=new.seed)
        new = rebuilt(new, {"_carried": carried})
        if {"module", "trainable", "optimizer"} & set(fields) and carried.get("optimizer_states") is not None:
            new = _with_optimizer_states_of(new, carried.optimizer_states, "optimizer" in fields)
    if states is None:
        return new
    found = with_states(new, states)
    _check_fit(new, found)
    return found


def _with_optimizer_states_of(model: Any, old: Any, other_optimizer: bool) -> Any:
    if model.optimizer is None or not jax.tree.leaves(model.parameters):
        fresh = None
    else:
        fresh = init_optimizer(model.optimizer, model.parameters)
    known = {path_name(p): leaf for p, leaf in jax.tree_util.tree_leaves_with_path(old)}

    def kept(path: Any, leaf: Any) -> Any:
        name = path_name(path)
        before = known.get(name)
        if other_optimizer and ".hyperparams" in name:
            return leaf
        same = before is not None and before.shape == leaf.shape and before.dtype == leaf.dtype
        return before if same else leaf

    fresh = jax.tree_util.tree_map_with_path(kept, fresh)
    return rebuilt(model, {"_carried": model._carried.update(optimizer_states=fresh)})


def _check_fit(before: Any, after: Any) -> None:
    """Raise for states of another module, or of another optimizer."""
    here, there = _arrays_in(before.module), _arrays_in(after.module)
    for name in (n for n in {**here, **there} if here.get(n) != there.get(n)):
        raise ValueError(
            f"`states` are those of another module: `module{name}` is {here.get(name, 'not there')}, and in the states "
            f"{there.get(name, 'not there')}. For another module use `replace(module=...)`."
        )
    states = after.states
    if after.optimizer is None or not _steps.is_default(after, "init_step", "train_step"):
        return
    if states.get("optimizer_states") is not None and jax.tree.leaves(states.get("net_params")):
        expected = jax.tree.structure(eqx.filter_eval_shape(after.optimizer.init, states.net_params))
        if jax.tree.structure(states.optimizer_states) != expected:
            raise ValueError(
                "`states` are those of another optimizer: the structure of `optimizer_states` is not the model's. "
                "To begin with new ones, pass `states.update(optimizer_states=None)`."
            )


def _arrays_in(module: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(module)
    return {path_name(path): describe(leaf) for path, leaf in leaves if eqx.is_array(leaf)}
