"""The parameters that a model is evaluated at, where its optimizer trains others."""

import jax
import optax
from optax.contrib import ScheduleFreeState, schedule_free_eval_params

from .._types import PyTree
from ._nodes import nodes


def has_evaluation_parameters(optimizer_states: PyTree) -> bool:
    """Whether an optimizer is made with `optax.contrib.schedule_free`, also within a chain and the like."""
    return bool(nodes(optimizer_states, _is_schedule_free))


def evaluation_parameters(optimizer_states: PyTree, params: PyTree) -> PyTree:
    """Return the parameters to evaluate at; `params` themselves for most optimizers.

    Those of `optax.contrib.schedule_free` are an average that `optax.contrib.schedule_free_eval_params` computes.
    """
    for state in nodes(optimizer_states, _is_schedule_free):
        leaves, structure = jax.tree.flatten(params)
        # Where an optimizer has some of the parameters only, there are holes in place of the others.
        averaged = jax.tree.leaves(state.z, is_leaf=lambda node: isinstance(node, optax.MaskedNode))
        leaves = [
            old if isinstance(z, optax.MaskedNode) else schedule_free_eval_params(state._replace(z=z), old)
            for old, z in zip(leaves, averaged, strict=True)
        ]
        params = jax.tree.unflatten(structure, [new.astype(old.dtype) for new, old in _paired(leaves, params)])
    return params


def at_evaluation_parameters(optimizer_states: PyTree, params: PyTree) -> PyTree:
    """Return the state of an optimizer to which `params` are those that are trained and those to evaluate at.

    The average of `optax.contrib.schedule_free` begins again there.
    """

    def moved(node: PyTree) -> PyTree:
        if not _is_schedule_free(node):
            return node
        leaves, structure = jax.tree.flatten(node.z, is_leaf=lambda part: isinstance(part, optax.MaskedNode))
        pairs = zip(leaves, jax.tree.leaves(params), strict=True)
        leaves = [z if isinstance(z, optax.MaskedNode) else new.astype(z.dtype) for z, new in pairs]
        return node._replace(z=jax.tree.unflatten(structure, leaves))

    return jax.tree.map(moved, optimizer_states, is_leaf=_is_schedule_free)


def _paired(leaves: list[PyTree], params: PyTree) -> PyTree:
    return zip(leaves, jax.tree.leaves(params), strict=True)


def _is_schedule_free(node: PyTree) -> bool:
    return isinstance(node, ScheduleFreeState)
