"""A model whose step says in the names of its operations which part of it they belong to."""

import contextlib
import functools
from collections.abc import Callable, Generator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import tree_map_with_path

from .._describe import path_name
from .._inspect._layers import NoHook, observed
from .._inspect._reads import type_name
from .._steps._bind_self import watching
from .._steps._model_like import M, ModelLike
from .._steps._states import States
from .._types import KeyPath, PyTree
from ._place import GRADIENT, LAYER, OPTIMIZER


@contextlib.contextmanager
def named(model: M) -> Generator[M]:
    """Yield the same model for within this context, whose layers, optimizer and gradients have names.

    It is one of a subclass, whose gradients are marked. The `self` of its steps, users' too, has such a module and
    optimizer; the states stay what they are.
    """
    cls = _named_class(type(model))
    new = object.__new__(cls)
    for name, value in vars(model).items():
        object.__setattr__(new, name, value)

    def prepare(bound: ModelLike) -> None:
        if type(bound) is cls:
            object.__setattr__(bound, "module", observed(bound.module, _Name, fields=True))
            object.__setattr__(bound, "optimizer", _named_optimizer(bound.optimizer))

    with watching(prepare):
        yield new


# Once for each class: Equinox registers every class of modules with JAX, for good.
@functools.cache
def _named_class(cls: type) -> type:
    grad_step = cls.grad_step

    def marking(self: ModelLike, *args: Any, **kwargs: Any) -> tuple[PyTree, PyTree, States, PyTree]:
        loss, logs, states, grads = grad_step(self, *args, **kwargs)
        root = "states.net_params" if self.module is None else "module"
        return loss, logs, states, tree_map_with_path(functools.partial(_marked, root), grads)

    functools.update_wrapper(marking, grad_step)
    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "grad_step": marking,
    }
    return type(cls)(cls.__name__, (NoHook, cls), namespace)


class _Name:
    """Runs a layer under its name."""

    def __init__(self, path: KeyPath, node: object):
        self._name = f"{LAYER}`module{path_name(path)}` ({type_name(node)})"

    def __hash__(self) -> int:
        return hash(self._name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Name) and self._name == other._name

    def __call__(self, fn: Callable[..., PyTree], *args: Any, **kwargs: Any) -> PyTree:
        with jax.named_scope(self._name):
            return fn(*args, **kwargs)


def _marked(root: str, path: KeyPath, leaf: jax.Array) -> jax.Array:
    with jax.named_scope(f"{GRADIENT}{root}{path_name(path)}"):
        return jnp.copy(leaf)  # an operation that does nothing but carry the name, as `Place.mark` expects it


def _named_optimizer(optimizer: optax.GradientTransformation | None) -> optax.GradientTransformationExtraArgs | None:
    if optimizer is None:
        return None
    update = optax.with_extra_args_support(optimizer).update

    def in_scope(*args: Any, **kwargs: Any) -> PyTree:
        with jax.named_scope(OPTIMIZER):
            return update(*args, **kwargs)

    return optax.GradientTransformationExtraArgs(optimizer.init, in_scope)
