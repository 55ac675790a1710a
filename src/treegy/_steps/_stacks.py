"""Stacks: several models in one, whose arrays all have an axis of models in front.

What is made for one model is mapped over them, and nothing else needs to know: a step, a chunk of them, a whole run.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._describe import array_name, path_name
from .._errors import DataError
from .._types import PyTree
from ._hashable import hashable_combine, hashable_partition
from ._model_like import M, ModelLike
from ._per_model import is_per_model, of_model
from ._states import States

# On a CPU: networks with more parameters are run one after the other, since a product of matrices is faster than one of
# stacks of matrices. Accelerators run all at once.
_MOST_MAPPED = 4096


def size_of_stack(model: ModelLike) -> int | None:
    """Return how many models there are in a stack; `None` for a single model."""
    shape = model.seed.shape
    return shape[0] if len(shape) else None


def first_of(model: M) -> M:
    """Return the first model of a stack; a single model itself."""
    return model if size_of_stack(model) is None else one_of(model, 0)


def one_of(stack: M, i: int) -> M:
    """Return the `i`-th model of a stack."""
    arrays, frozen = hashable_partition(stack)
    return hashable_combine([array[i] for array in arrays], frozen)


def step_of(states: States) -> int:
    """Return how many steps a model has made; of a stack, those models that have made the most."""
    return int(np.max(np.asarray(states.get("step", 0))))


def root_of(states: States) -> Array:
    """Return the root key of a model; of a stack, that of the first one."""
    return states.rng if states.rng.ndim == 0 else states.rng[0]


def where_models(which: np.ndarray, chosen: M, others: M) -> M:
    """Return the stack that has some models of one, and all others of another of the same structure.

    **Arguments:**

    - `which`: `(models,)`, true for those of `chosen`.
    """
    arrays, frozen = hashable_partition(chosen)
    return hashable_combine(_where(jnp.asarray(which), arrays, hashable_partition(others)[0]), frozen)


@jax.jit
def _where(which: Array, chosen: list[PyTree], others: list[PyTree]) -> list[PyTree]:
    def one(a: Array, b: Array) -> Array:
        return jnp.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return list(map(one, chosen, others))


def refuse_stack(model: ModelLike, method: str) -> None:
    """**Raises:** `ValueError` for a stack, given to what looks at one model."""
    if size_of_stack(model) is not None:
        raise ValueError(f"{method} looks at one model, and this is a stack: `tg.unstack` gives its models.")


def check_per_model(n: int | None, batch: PyTree) -> None:
    """**Raises:** [`treegy.DataError`][] for a `PerModel` of another number of models than there are."""
    for path, node in jax.tree_util.tree_leaves_with_path(batch, is_leaf=is_per_model):
        if is_per_model(node) and node.values.shape[-1:] != (n,):
            there = "this is one model" if n is None else f"there are {n} models"
            raise DataError(
                f"`{path_name(path).rpartition('.')[2]}` is a `PerModel` of {array_name(node.values)}, with models "
                f"along its last axis, and {there}."
            )


def check_stacked(stack: ModelLike, fields: Mapping[str, PyTree]) -> None:
    """**Raises:** `ValueError` for arrays without an axis of models, where they are to be fields of a stack."""
    n = size_of_stack(stack)
    for name, value in fields.items() if n is not None else ():
        for array in hashable_partition(value)[0]:
            if array.shape[:1] != (n,):
                raise ValueError(
                    f"`{name}` holds {array_name(array)}, and this is a stack of {n} models, whose arrays have an axis "
                    "of models in front. To replace something in each: `tg.stack([model.replace(...) for model in "
                    "tg.unstack(models)])`."
                )


def over_models(function: Callable[..., Any], stack: PyTree, *given: PyTree) -> Any:
    """Call `function(one, *given)` with each of a stack, all at once.

    **Arguments:**

    - `stack`: a PyTree whose arrays have an axis of models in front; `one` is the same without it.
    - `given`: what all of them get.

    **Returns:**

    What was returned, its arrays with an axis of models in front.
    """
    return _over(jax.vmap, function, stack, given)


def over_models_fast(function: Callable[..., Any], stack: PyTree, *given: PyTree) -> Any:
    """As `over_models`, all at once or one after the other: whichever is faster on this device."""
    arrays, _ = hashable_partition(stack)
    return _over(jax.vmap if _are_mapped(arrays) else _in_turn, function, stack, given)


def _over(mapped: Callable[..., Any], function: Callable[..., Any], stack: PyTree, given: tuple[PyTree, ...]) -> Any:
    arrays, frozen = hashable_partition(stack)
    static: list[Any] = []

    def one(i: Array, arrays: list[PyTree]) -> list[PyTree]:
        result = function(hashable_combine(arrays, frozen), *of_model(given, i))
        arrays, rest = hashable_partition(result)
        static.append(rest)
        # Arrays that are returned as they came are told apart from those that aren't.
        return [a if isinstance(a, jax.Array) else jnp.asarray(a) for a in arrays]

    n = arrays[0].shape[0]
    check_per_model(n, given)
    return hashable_combine(mapped(one)(jnp.arange(n), arrays), static[-1])


def _in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *stacked: jax.lax.map(lambda one: function(*one), stacked)


def _are_mapped(arrays: list[PyTree]) -> bool:
    size = sum(math.prod(a.shape[1:]) for a in arrays)
    return jax.default_backend() != "cpu" or size <= _MOST_MAPPED


@functools.lru_cache(maxsize=64)
def of_stack(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a stack that a function of a model and a batch stands for; always the same one."""
    return functools.partial(over_models_fast, step)
