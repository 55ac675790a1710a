"""Getting a model ready for its steps: parameters that steps create, states of the optimizer and of metrics."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._data._batch import Batch
from .._describe import describe, is_transformed
from .._terms._logs import StepLogs, empty_logs
from .._types import PyTree
from ._assembly import carried_by, carrying, with_states
from ._dispatch import is_default, jitted, name_initializing
from ._hashable import Shapes, Static, hashable_combine, hashable_partition
from ._homes import Homes, homes_of
from ._model_like import M, ModelLike
from ._run_step import Seen, initialize, test_logs
from ._stacks import over_models, size_of_stack
from ._states import States
from ._structure import arrays_from

Kind = Literal["train", "test", "pred"]

# The steps that run, or don't, while a model is initialized for training, evaluating or predicting.
_INIT: dict[Kind, tuple[str, ...]] = {
    "train": ("call_init_step", "init_step", "train_step", "grad_step", "test_step", "pred_step"),
    "test": ("call_test_step", "test_step", "pred_step"),
    "pred": ("call_pred_step", "pred_step"),
}


@functools.partial(jax.jit, static_argnums=(0, 1))
def init_of(frozen: Static, homes: Homes | None, arrays: list[PyTree]) -> PyTree:
    optimizer, net_params = hashable_combine(arrays, frozen)
    states = optimizer.init(net_params)
    return states if homes is None else homes.constrained(states)


def init_optimizer(model: ModelLike, net_params: PyTree) -> PyTree:
    """Return the states of a model's optimizer before its first step."""
    if size_of_stack(model) is not None:
        return over_models(lambda one: init_optimizer(*one), (model, net_params))
    arrays, frozen = hashable_partition((model.optimizer, net_params))
    return init_of(frozen, homes_of(model), arrays)


def first_states(model: ModelLike) -> States:
    """Return the states that a model begins with, if it is new.

    **Raises:** `TypeError` if its `states_step` returns something else.
    """
    if size_of_stack(model) is not None:
        return over_models(first_states, model)
    states = model.states_step()
    if not isinstance(states, States):
        raise TypeError(f"`states_step` must return `tg.States`, and returned {describe(states)}.")
    return states


def needs_batch(model: ModelLike, kind: Kind) -> bool:
    """Whether steps are run to prepare a model for steps of this kind, so that a batch is needed."""
    return not model.initialized and not is_default(model, *_INIT[_ran(model, kind)])


def _ran(model: ModelLike, kind: Kind) -> Kind:
    """Return the kind of steps that run to initialize a model: all of them, where it says how."""
    return kind if is_default(model, "init_step", "call_init_step") else "train"


def prepared(model: M, kind: Kind, batch: Batch | None, *, keep_metrics: bool = False) -> M:
    """Return the model with what steps of this kind need, running overridden steps with `initializing` if it is new.

    **Arguments:**

    - `batch`: one; `None` will do unless `needs_batch`.
    - `keep_metrics`: whether it keeps what `test_on_batch` has accumulated. Without it, every run of the model is the
        same program.
    """
    if size_of_stack(model) is not None and not _is_ready(model, kind, keep_metrics):
        return over_models(lambda one: prepared(one, kind, batch, keep_metrics=keep_metrics), model)
    states = None
    if not model.initialized:
        states = first_states(model)
        ran = _ran(model, kind)
        own = not is_default(model, "init_step", "call_init_step")
        steps = _INIT[ran]
        if not is_default(model, *steps):
            if ran == "train":
                # Before the step runs: one that updates its parameters itself finds the optimizer's states.
                states = _with_optimizer_states(model, states)
            model = with_states(model, states)
            made = jitted(model, initialize)(model, ran, jax.tree.map(jnp.asarray, batch))
            states = made if own or name_initializing(model, *steps) else _filled(states, made)
        made = [n for n in states if model.module is None or n not in ("net_states", "state")]
        states = arrays_from(states, made)
    if kind == "train" and (states is not None or carried_by(model).get("optimizer_states") is None):
        known = model.states if states is None else states
        ready = _with_optimizer_states(model, known)
        if ready is not known:
            states = ready
    if states is not None:
        model = with_states(model, states)
    return model if keep_metrics else without_metrics(model)


def _is_ready(model: ModelLike, kind: Kind, keep_metrics: bool) -> bool:
    if not model.initialized:
        return False
    carried = carried_by(model)
    has_optimizer_states = kind != "train" or model.optimizer is None or carried.get("optimizer_states") is not None
    return has_optimizer_states and (keep_metrics or carried.get("metrics_states") is None)


def _with_optimizer_states(model: ModelLike, states: States) -> States:
    """Return states in which those of the optimizer are there, as far as there is something to optimize."""
    absent = states.get("optimizer_states") is None
    if model.optimizer is None or not absent or not jax.tree.leaves(states.get("net_params")):
        return states
    ready = init_optimizer(model, states.net_params)
    return arrays_from(states.update(optimizer_states=ready), ["optimizer_states"])


def _filled(before: States, made: States) -> States:
    """Return the states that a step made in which the fields that were there before keep their values.

    A step that doesn't know of initializing has made a whole step: what it counts or averages would count it.
    """

    def is_same(old: PyTree, new: PyTree) -> bool:
        if jax.tree.structure(old) != jax.tree.structure(new):
            return False
        pairs = zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
        return all(getattr(a, "shape", ()) == getattr(b, "shape", ()) for a, b in pairs)

    kept = {n: v for n, v in before.items() if jax.tree.leaves(v) and n in made and is_same(v, made[n])}
    return made.update(**kept)


def with_metrics(model: M, batch: Batch, *, as_numpy: bool = False) -> M:
    """Return the model with what `test_on_batch` accumulates into; only shapes are looked at.

    **Arguments:**

    - `as_numpy`: whether it may be NumPy's arrays, as it may for a compiled step, which takes them at once.
    """
    if model.initialized and carried_by(model).get("metrics_states") is not None:
        return model
    if size_of_stack(model) is not None:
        return over_models(with_metrics, model, jax.tree.map(jnp.asarray, batch))
    nothing = _seen_nothing(model, batch)
    return _with_metrics_states(model, nothing if as_numpy else jax.tree.map(jnp.asarray, nothing))


def without_metrics(model: M) -> M:
    """Return the model without what `test_on_batch` has accumulated."""
    if not model.initialized or carried_by(model).get("metrics_states") is None:
        return model
    return _with_metrics_states(model, None)


def _with_metrics_states(model: M, seen: Seen | None) -> M:
    if model.initialized:
        return carrying(model, carried_by(model).update(metrics_states=seen))
    return with_states(model, model.states.update(metrics_states=seen))


def _seen_nothing(model: ModelLike, batch: Batch) -> Seen:
    """Return what `test_on_batch` accumulates, of no examples. Nothing is traced for it more than once."""
    arrays, frozen = hashable_partition(model)
    if is_transformed(arrays, batch):
        return Seen(empty_logs(test_logs, model, jax.tree.map(jnp.asarray, batch)), np.zeros((), np.int32))
    return known_nothing(frozen, Shapes((arrays, batch)))


@functools.lru_cache(maxsize=64)
def known_nothing(frozen: Static, shapes: Shapes) -> Seen:
    """Return that as NumPy's arrays: nobody can donate these, nor write into them."""
    arrays, batch = shapes.structs
    logs: StepLogs = empty_logs(test_logs, hashable_combine(arrays, frozen), batch)
    return jax.tree.map(np.asarray, Seen(logs, np.zeros((), np.int32)))
