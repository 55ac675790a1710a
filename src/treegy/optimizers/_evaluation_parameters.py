"""The parameters that a model is evaluated at, where its optimizer trains others."""

from typing import Any

import jax
import optax
from optax.contrib import ScheduleFreeState, schedule_free_eval_params


def has_evaluation_parameters(optimizer_states: Any) -> bool:
    """Whether an optimizer is made with `optax.contrib.schedule_free`, also within a chain and the like."""
    return bool(_schedule_free(optimizer_states))


def evaluation_parameters(optimizer_states: Any, params: Any) -> Any:
    """Return the parameters to evaluate at; `params` themselves for most optimizers.

    Those of `optax.contrib.schedule_free` are an average that `optax.contrib.schedule_free_eval_params` computes.
    """
    for state in _schedule_free(optimizer_states):
        leaves, structure = jax.tree.flatten(params)
        # Where an optimizer has some of the parameters only, there are holes in place of the others.
        averaged = jax.tree.leaves(state.z, is_leaf=lambda node: isinstance(node, optax.MaskedNode))
        leaves = [
            old if isinstance(z, optax.MaskedNode) else schedule_free_eval_params(state._replace(z=z), old)
            for old, z in zip(leaves, averaged, strict=True)
        ]
        params = jax.tree.unflatten(structure, [new.astype(old.dtype) for new, old in _paired(leaves, params)])
    return params


def _paired(leaves: list[Any], params: Any) -> Any:
    return zip(leaves, jax.tree.leaves(params), strict=True)


def _schedule_free(optimizer_states: Any) -> list[Any]:
    def is_one(node: Any) -> bool:
        return isinstance(node, ScheduleFreeState)

    return [node for node in jax.tree.leaves(optimizer_states, is_leaf=is_one) if is_one(node)]
