"""The model that evaluating and predicting look at."""

import functools

from .._injection._inject import request
from .._terms._naming import named_terms
from .._types import PyTree
from ..optimizers._evaluation_parameters import evaluation_parameters, has_evaluation_parameters
from ._assembly import carried_by, carrying, with_states
from ._dispatch import is_default
from ._hashable import Static, hashable_partition, without_arrays
from ._model_like import M, ModelLike
from ._stacks import over_models, size_of_stack
from ._states import States

_STEPS = {
    "test": ("call_test_step", "test_step", "pred_step"),
    "pred": ("call_pred_step", "pred_step"),
}


def evaluated(model: M, kind: str) -> M:
    """Return the model without what steps of this kind, `test` or `pred`, don't read.

    So a model with another optimizer, and for predicting with other losses, runs the programs that there are.
    """
    if not is_default(model, *_STEPS[kind]) or _reads_states(model, kind):
        return model
    if has_evaluation_parameters(carried_by(model).get("optimizer_states")):
        if size_of_stack(model) is None:
            model = with_states(model, states_to_evaluate(model.states))
        else:
            model = over_models(lambda one: with_states(one, states_to_evaluate(one.states)), model)
    unread = ("optimizer",) if kind == "test" else ("optimizer", "loss", "metrics")
    return carrying(model, carried_by(model).update(optimizer_states=None), **dict.fromkeys(unread))


def states_to_evaluate(states: States) -> States:
    """Return states with the parameters to evaluate at; the same ones for most optimizers."""
    optimizer_states = states.get("optimizer_states")
    if optimizer_states is None or not has_evaluation_parameters(optimizer_states):
        return states
    return states.update(net_params=evaluation_parameters(optimizer_states, states.net_params))


def evaluated_parameters(states: States) -> PyTree:
    """Return the parameters to evaluate at; `None` where they are those that are trained."""
    evaluates = has_evaluation_parameters(states.get("optimizer_states"))
    return states_to_evaluate(states).net_params if evaluates else None


def _reads_states(model: ModelLike, kind: str) -> bool:
    terms = (model.loss, model.metrics) if kind == "test" else (None, None)
    return ask_for_states(hashable_partition((model.module, *terms))[1])


@functools.lru_cache(maxsize=256)
def ask_for_states(frozen: Static) -> bool:
    """Whether a module, or any of some losses and metrics asks for the states, which doesn't depend on their arrays."""
    module, loss, metrics = without_arrays(frozen)
    if callable(module) and "states" in request(module).names:
        return True
    losses, metrics = named_terms(loss, metrics)
    return any("states" in term.asking.request for term in (*losses, *metrics))
