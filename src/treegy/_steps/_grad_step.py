"""What `grad_step` does where nobody overrides it: differentiates `test_step` by the parameters."""

import functools
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from .._describe import array_name, describe, path_name
from .._errors import MissingModule
from .._types import PyTree, Values
from ._dispatch import check_loss, is_default
from ._dtype_policy import scale_of
from ._microbatches import value_and_grad_by_parts
from ._model_like import ModelLike
from ._states import States


def grad_step(model: ModelLike, *, states: States, **batch: PyTree) -> tuple[Array, dict[str, Any], States, PyTree]:
    """Differentiate `test_step` with respect to `states.net_params`."""
    trained, fixed = eqx.partition(states.get("net_params"), eqx.is_inexact_array)
    _check_trainable(model, trained, fixed)
    scale = scale_of(model.dtype_policy, states)
    depends: list[bool] = []
    if model.microbatches > 1:
        watched = functools.partial(_watched, depends=depends, scale=scale)
        loss, logs, after, grads = value_and_grad_by_parts(model, states, batch, trained, fixed, watched)
    else:
        loss, logs, after, grads = _value_and_grad(model, states, batch, trained, fixed, scale, depends)
    if not depends:
        raise ValueError(_independent(model))
    # JAX gives the conjugate of the direction in which a real function of a complex parameter grows.
    grads = jax.tree.map(lambda g: jnp.conj(g) if jnp.iscomplexobj(g) else g, grads)
    if scale is not None:
        grads = jax.tree.map(lambda g: g / jnp.asarray(scale, g.real.dtype), grads)
    return loss, logs, after, grads


def _value_and_grad(
    model: ModelLike,
    states: States,
    batch: dict[str, PyTree],
    trained: PyTree,
    fixed: PyTree,
    scale: PyTree,
    depends: list[bool],
) -> tuple[Array, dict[str, Any], States, PyTree]:
    static: list[PyTree] = []

    def of_params(trained: PyTree) -> tuple[Array, PyTree]:
        inner = states.update(net_params=eqx.combine(trained, fixed))
        loss, logs, after = model.test_step(states=inner, **batch)
        check_loss("step `test_step`", loss)
        loss = jnp.asarray(loss)
        if not jnp.issubdtype(loss.dtype, jnp.floating):
            raise TypeError(f"step `test_step` returned a loss that is {array_name(loss)}; a float is expected.")
        # Ordered dicts, as plain ones would come back sorted.
        arrays, rest = eqx.partition((_ordered(logs), after), eqx.is_array)
        static.append(rest)
        return _watched(loss, depends, scale), (loss, arrays)

    (_, (loss, arrays)), grads = jax.value_and_grad(of_params, has_aux=True)(trained)
    logs, after = eqx.combine(arrays, static[-1])
    return loss, logs, after, grads


def _ordered(logs: Values) -> OrderedDict[str, Any]:
    return OrderedDict((k, _ordered(v) if isinstance(v, Mapping) else v) for k, v in logs.items())


def _watched(loss: PyTree, depends: list[bool], scale: PyTree) -> Array:
    """`loss` itself, or times a scale; `depends` gets an item if it is a function of what is differentiated."""

    # No decorator: what `beartype.claw` puts around a decorated function has no `defjvp`.
    watch = jax.custom_jvp(lambda value: value)

    def rule(primals: PyTree, tangents: PyTree) -> PyTree:
        if not isinstance(tangents[0], SymbolicZero):
            depends.append(True)
        return primals[0], tangents[0]

    watch.defjvp(rule, symbolic_zeros=True)
    return watch(loss if scale is None else loss * scale)


def _independent(model: ModelLike) -> str:
    if not jax.tree.leaves(model.loss, is_leaf=callable) and is_default(model, "test_step"):
        return f"`{type(model).__name__}` has no loss to train on: pass `loss=`, or override `test_step`."
    return (
        "the loss doesn't depend on `net_params`, so that training would change nothing. Does the step compute it from "
        "`states.net_params`, or from the `parameters` or `module` of the states it was given? Is there a "
        "`stop_gradient`, or a comparison, between them and the loss?"
    )


def _check_trainable(model: ModelLike, trained: PyTree, fixed: PyTree) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(fixed):
        raise ValueError(
            f"`states.net_params{path_name(path)}` is {describe(leaf)}, which can't be trained: `net_params` is for "
            "arrays of floats. Keep it in another field of `states`."
        )
    if not jax.tree.leaves(trained):
        if model.module is None and is_default(model, "test_step", "pred_step"):
            raise MissingModule(
                f"`{type(model).__name__}` has no module to train: pass one to the model, or override a step."
            )
        if model.module is None:
            what = "there is no module"
        elif jax.tree.leaves(eqx.filter(model.module, eqx.is_inexact_array)):
            what = "`trainable` selects none of the module's"
        else:
            what = f"the module is {describe(model.module)} and has none"
        raise ValueError(
            f"there is nothing to train: `states.net_params` has no arrays of floats ({what}). A step without a "
            "module puts them there with `states.update(net_params=...)` when `initializing`."
        )
