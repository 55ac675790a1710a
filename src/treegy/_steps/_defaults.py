"""The overridable steps: how they are called, and what they do by default. All of it pure.

The default graph is `train_step` → `grad_step` → `test_step` → `pred_step` → module. Each is a method of `Model`;
this file holds what these methods do, as functions of a model.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from .._errors import MissingModule, MissingOptimizer
from .._injection._hints import Axis
from .._injection._inject import request
from .._terms._objective import evaluate
from .._terms._term import Context
from .._terms._weights import cleared_where_unweighted
from .._types import OptimizerLike, PyTree, Values
from ._dispatch import is_default
from ._dtype_policy import cast, cast_like, cast_module, unless_overflown
from ._forward import forward, size_of_batch, vocabulary
from ._keys import keys
from ._microbatches import loss_by_parts
from ._model_like import ModelLike
from ._states import States


def for_module(states: States, initializing: bool, training: bool) -> dict[str, Any]:
    """Return what a module can ask for by name, besides its inputs."""
    provided = {
        "training": training,
        "inference": not training,
        "initializing": initializing,
        "parameters": states.get("net_params"),
        "states": states,
    }
    key, _ = keys(states)
    if key is not None:
        provided["key"] = key
    if states.get("state") is not None:
        # `State.set` makes the state that it was called on unusable, and users keep theirs: give the module a clone.
        provided["state"] = jax.tree.map(lambda leaf: leaf, states.state)
    return provided


def for_terms(
    values: Values,
    sample_weight: PyTree,
    class_weight: PyTree,
    states: States,
    initializing: bool,
    training: bool,
    module: PyTree = None,
) -> dict[str, Any]:
    """Return what a loss or metric can ask for by name: among it `values`: `x`, `y_true` and `y_pred`."""
    available = {k: v for k, v in values.items() if v is not None}
    available.update(
        sample_weight=sample_weight,
        class_weight=class_weight,
        training=training,
        initializing=initializing,
        parameters=states.get("net_params"),
        states=states,
    )
    if states.get("step") is not None:
        available["step"] = states.step
    if module is not None:
        available["module"] = module if training else eqx.nn.inference_mode(module)
    _, key = keys(states)
    if key is not None:
        available["key"] = key
    return available


def pred_step(
    model: ModelLike, *, x: PyTree, states: States, initializing: bool, training: bool
) -> tuple[PyTree, States]:
    """Call the module on the batch; outside training in inference mode."""
    if model.module is None:
        raise MissingModule(
            f"`{type(model).__name__}` has no module to predict with: pass one to the model, or override `pred_step`."
        )
    module = model.module if training else eqx.nn.inference_mode(model.module)
    provided = for_module(states, initializing, training)
    axes = None if model.strategy is None else model.strategy.batch
    policy = model.dtype_policy
    if policy is not None:
        module, x = cast_module(module, policy), cast(x, policy.compute)
    y_pred, state = forward(module, x, provided, size=size_of_batch(x), batched=model.batched, axes=axes)
    if policy is not None:
        y_pred = cast(y_pred, policy.params)
        state = None if state is None else cast_like(state, states.state)
    if state is not None and not initializing:
        states = states.update(state=state)
    return y_pred, states


def test_step(
    model: ModelLike,
    *,
    x: PyTree,
    y_true: PyTree,
    sample_weight: PyTree,
    class_weight: PyTree,
    states: States,
    initializing: bool,
    training: bool,
) -> tuple[Any, dict[str, Any], States]:
    """Predict, then evaluate losses and metrics."""
    if not initializing:
        # Non-finite inputs of absent examples would reach the parameters by 0 times NaN.
        x = cleared_where_unweighted(x, sample_weight)
    y_pred, states = model.pred_step(x=x, states=states, initializing=initializing, training=training)
    if initializing:
        return jnp.zeros(()), {}, states  # losses and metrics have nothing to prepare
    size = size_of_batch(x, y_true)
    values = {"x": x, "y_true": y_true, "y_pred": y_pred}
    available = for_terms(values, sample_weight, class_weight, states, initializing, training, model.module)
    axes: dict[str, Axis] = {}
    if is_default(model, "pred_step"):
        stateful = states.get("state") is not None
        axes = vocabulary(model.module, x, y_pred, size_of_batch(x), model.batched, stateful)
    elif size is not None:
        axes["batch"] = Axis(size, "x" if x is not None else "y_true")
    context = Context(available, 1 if size is None else size, sample_weight, axes)
    loss, logs = evaluate(model.loss, model.metrics, context)
    return loss, logs, states


def train_step(
    model: ModelLike, *, states: States, initializing: bool, training: bool, **batch: PyTree
) -> tuple[dict[str, Any], States]:
    """Take one step of the optimizer along the gradients; only prepare for it while initializing."""
    if initializing:
        _, logs, states = model.test_step(states=states, initializing=True, training=training, **batch)
        if model.optimizer is not None:
            states = states.maybe_update(optimizer_states=model.optimizer.init(states.net_params))
        return logs, states
    optimizer = model.optimizer
    if optimizer is None:
        raise no_optimizer(model)
    loss, logs, after, grads = model.grad_step(states=states, initializing=False, training=training, **batch)
    params, optimizer_states = after.net_params, after.get("optimizer_states")
    if optimizer_states is None:
        optimizer_states = optimizer.init(params)
    offered = {
        "value": loss,
        "grad": grads,
        "value_fn": functools.partial(_value, model, states, batch, training),
        "grad_fn": functools.partial(_gradient, model, states, batch, training),
    }
    with jax.named_scope("optimizer"):
        updates, optimizer_states = _update(optimizer, grads, optimizer_states, params, offered)
        params = optax.apply_updates(params, updates)
    after = after.update(net_params=params, optimizer_states=optimizer_states)
    return logs, unless_overflown(states, after, grads)


def _value(
    model: ModelLike,
    states: States,
    batch: dict[str, PyTree],
    training: bool,
    params: PyTree,
    *,
    grad_fn: object = None,
) -> Array:
    """Return the loss of a batch with other parameters, and the keys of this step: for line searches."""
    # Optax's line searches give to `value_fn` what they don't take themselves, and refuse what it doesn't take.
    del grad_fn
    states = states.update(net_params=params)
    if model.microbatches > 1:
        return loss_by_parts(model, states, {**batch, "initializing": False, "training": training})
    loss, _, _ = model.test_step(states=states, initializing=False, training=training, **batch)
    return jnp.asarray(loss)


def _gradient(
    model: ModelLike,
    states: States,
    batch: dict[str, PyTree],
    training: bool,
    params: PyTree,
    i: ArrayLike | None = None,
) -> PyTree:
    """Return the gradient of a batch with other parameters, and with the `i`-th keys of this step."""
    if i is not None and states.get("rng") is not None:
        states = states.update(rng=jax.random.fold_in(states.rng, i))
    states = states.update(net_params=params)
    return model.grad_step(states=states, initializing=False, training=training, **batch)[3]


def _update(
    optimizer: OptimizerLike,
    grads: PyTree,
    optimizer_states: PyTree,
    params: PyTree,
    offered: dict[str, Any],
) -> tuple[PyTree, PyTree]:
    """Call an optimizer's `update` with those of the extra arguments offered that it takes."""
    update = optimizer.update
    wanted = request(update)
    extra = {name: value for name, value in offered.items() if name in wanted}
    try:
        return update(grads, optimizer_states, params, **extra)
    except TypeError as error:
        for name in extra:
            if f"argument '{name}'" in str(error):
                error.add_note(
                    f"`train_step` passes `{name}` to the optimizer, whose `update` takes any keyword, and a part of "
                    "it refuses this one. Let the `update` of that part of the chain take `**extra`."
                )
                break
        raise


def no_optimizer(model: ModelLike) -> MissingOptimizer:
    """Return the error for a model that is to be trained and has no optimizer."""
    return MissingOptimizer(
        f"`{type(model).__name__}` has no optimizer to train with: pass one, such as `optimizer=optax.adam(1e-3)`, or "
        "override `train_step`."
    )


def init_step(model: ModelLike, **batch: PyTree) -> States:
    """Fill what is missing by running `train_step` while `initializing`."""
    _, states = model.train_step(initializing=True, training=True, **batch)
    return states
