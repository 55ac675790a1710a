"""`with_ema`: an optimizer that keeps an average of the parameters beside them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import keystr, tree_leaves_with_path
from jaxtyping import Array, Int

from .._checks import fraction
from .._types import KeyPath, PyTree
from ._evaluation_parameters import at_evaluation_parameters, evaluation_parameters, has_evaluation_parameters


class EmaState(NamedTuple):
    """The state of an optimizer, and the average of the parameters."""

    inner_state: PyTree
    average: PyTree
    steps: Int[Array, ""]


def with_ema(optimizer: Any, decay: float = 0.999, warm_up: bool = True) -> optax.GradientTransformation:
    r"""Return an optimizer that also keeps an exponential moving average of the parameters.

    After step $t$, $\bar\theta_t = d_t \bar\theta_{t-1} + (1 - d_t) \theta_t$. It is a part of the compiled step and of
    the optimizer's state, and so is saved with it; training itself doesn't change. [`treegy.callbacks.EMA`][] validates
    with it, and [`treegy.Model.averaged`][] gives the model that has it.

    **Arguments:**

    - `optimizer`: an optax transformation.
    - `decay`: $d$, from 0 to below 1.
    - `warm_up`: whether $d_t = \min(d, (1 + t) / (10 + t))$, so that the first parameters are soon forgotten; else
        $d_t = d$.

    The average is kept in the dtype of the parameters, and at least in float32.
    """
    decay = fraction("decay", decay)
    optimizer = optax.with_extra_args_support(optimizer)

    def init(params: PyTree) -> EmaState:
        return EmaState(optimizer.init(params), jax.tree.map(_wide, params), jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: PyTree, params: PyTree = None, **extra: Any) -> tuple[PyTree, EmaState]:
        if params is None:
            raise ValueError("an optimizer with an average needs the parameters: `update(grads, state, params)`.")
        updates, inner = optimizer.update(updates, state.inner_state, params, **extra)
        new = optax.apply_updates(params, updates)
        t = (state.steps + 1).astype(jnp.float32)
        d = jnp.minimum(decay, (1 + t) / (10 + t)) if warm_up else jnp.asarray(decay, jnp.float32)
        average = jax.tree.map(lambda a, p: a + (1 - d).astype(a.dtype) * (_wide(p) - a), state.average, new)
        return updates, EmaState(inner, average, state.steps + 1)

    return optax.GradientTransformationExtraArgs(init, update)


def _wide(leaf: PyTree) -> PyTree:
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def averaged_states(states: PyTree) -> Any:
    """Return the states of a model with averaged parameters in place of those that are trained.

    Of several averages, as optimizers by group keep them, each is that of its own parameters. Those that
    `optax.contrib.schedule_free` is evaluated at come without the optimizer's states, which belong to the trained ones.

    **Raises:** `ValueError` if the optimizer keeps no average.
    """
    optimizer_states = states.get("optimizer_states")
    nodes = jax.tree.leaves(optimizer_states, is_leaf=lambda n: isinstance(n, EmaState))
    averages: dict[str, PyTree] = {}
    for node in nodes:
        if isinstance(node, EmaState):
            averages |= {keystr(path): leaf for path, leaf in tree_leaves_with_path(node.average)}
    evaluates = has_evaluation_parameters(optimizer_states)
    if not averages and not evaluates:
        raise ValueError(
            "the optimizer keeps no average of the parameters: wrap it, `optimizer=tg.with_ema(optax.adam(1e-3))`."
        )

    def average(path: KeyPath, leaf: PyTree) -> PyTree:
        return averages[keystr(path)].astype(leaf.dtype) if keystr(path) in averages else leaf

    params = evaluation_parameters(optimizer_states, states.net_params) if evaluates else states.net_params
    params = jax.tree_util.tree_map_with_path(average, params)
    if evaluates:
        # Evaluated where they are, and not at what the optimizer would make of them once more.
        states = states.update(optimizer_states=at_evaluation_parameters(optimizer_states, params))
    return states.update(net_params=params)
