"""What a model may be made of, and the words for what it may not."""

import inspect
from types import CellType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._describe import describe, is_key, is_transformed
from .._steps._defaults import no_optimizer
from .._steps._dispatch import is_default
from .._steps._model_like import ModelLike
from .._types import OptimizerLike, PyTree, Seed


def check_module(module: PyTree, state: PyTree) -> None:
    """Raise for a `module` or `state` that is something else."""
    if isinstance(module, type):
        raise TypeError(f"`module` is the class `{module.__name__}`; make an instance of it: `{module.__name__}(...)`.")
    if isinstance(module, tuple) and any(isinstance(part, eqx.nn.State) for part in module):
        raise TypeError(
            f"`module` is {describe(module)}, as `eqx.nn.make_with_state` returns it: pass the two as "
            "`Model(module, state=state)`."
        )
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(f"`state` is {describe(state)}; the `eqx.nn.State` of `eqx.nn.make_with_state` is expected.")


def as_given(optimizer: OptimizerLike | None) -> Any:
    """Return an optimizer as it is. As a converter, it tells type checkers what the constructor takes."""
    return optimizer


def check_optimizer(optimizer: Any) -> None:
    """Raise for an `optimizer` that isn't one."""
    if optimizer is None:
        return
    if isinstance(optimizer, type) or not (
        callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))
    ):
        name = getattr(optimizer, "__name__", None)
        call = f" Call it: `{name}(...)`." if name and name.isidentifier() else ""
        raise TypeError(
            f"`optimizer` is {describe(optimizer) if name is None else f'`{name}`'}; an optax transformation such as "
            f"`optax.adam(1e-3)` is expected.{call}"
        )
    called = _called_by_mistake(optimizer.init, set())
    if called is not None:
        raise TypeError(
            f"`optimizer` has labels or a mask that are {describe(called)}, as those of `optax.multi_transform` and "
            "`optax.masked`. Since it can be called, optax would call it to make them: pass a function that returns "
            "it, `lambda _: labels`."
        )


def _called_by_mistake(value: object, seen: set[int]) -> object:
    """Return the module of labels or booleans that a transformation holds, which optax takes for a function.

    Transformations are functions, or methods of objects, that hold what they were made with.
    """
    if id(value) in seen:
        return None
    seen.add(id(value))
    if isinstance(value, eqx.Module) and callable(value):
        leaves = jax.tree.leaves(value)
        return value if leaves and all(isinstance(leaf, str | bool) for leaf in leaves) else None
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    elif hasattr(value, "__func__") and hasattr(value, "__self__"):
        method: Any = value
        inner = [method.__func__, *getattr(method.__self__, "__dict__", {}).values()]
    elif inspect.isfunction(value) and value.__module__.startswith("optax"):
        cells = value.__closure__ or ()
        inner = [cell.cell_contents for cell in cells if _is_filled(cell)]
    else:
        inner = []
    return next((found for part in inner if (found := _called_by_mistake(part, seen)) is not None), None)


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # of a name that is assigned later
        return False


def root_key(seed: Seed) -> Array:
    """Return the PRNG key that a `seed` stands for."""
    if isinstance(seed, bool | float | str):
        raise TypeError(f"`seed` is {describe(seed)}; an integer or a PRNG key is expected.")
    if isinstance(seed, int | np.integer):
        if not -(2**31) <= seed < 2**32:
            raise ValueError(f"`seed` is {seed}; an integer of 32 bits is expected, or a PRNG key.")
        return jax.random.key(int(seed))
    if isinstance(seed, jax.Array) and is_key(seed) and seed.ndim == 0:
        return seed
    if isinstance(seed, jax.Array | np.ndarray):
        if seed.ndim == 0 and np.issubdtype(seed.dtype, np.integer):
            return jax.random.key(seed)
        if seed.ndim == 1 and seed.dtype == np.uint32:
            return jax.random.wrap_key_data(jnp.asarray(seed))
    raise TypeError(f"`seed` is {describe(seed)}; an integer or a PRNG key is expected.")


def check_ensemble(ensemble: object, models: int | None) -> None:
    """**Raises:** `ValueError` for what is no `ensemble`, and for one of a single model."""
    if not isinstance(ensemble, str) or ensemble not in ("all", "mean", "mean_and_std"):
        raise ValueError(f'`ensemble` is {describe(ensemble)}; "all", "mean" or "mean_and_std" is expected.')
    if ensemble != "all" and models is None:
        raise ValueError(f"`ensemble` is {ensemble!r}, and this is one model: `tg.stack` makes one of several.")


def check_can_train(model: ModelLike) -> None:
    """Say before compiling, and without tracing, what the default `train_step` would miss."""
    if model.optimizer is None and is_default(model, "call_train_step", "train_step"):
        raise no_optimizer(model)


def can_test(model: ModelLike) -> bool:
    """Whether there is something to evaluate: a module, or a step of the user's that needs none."""
    return model.module is not None or not is_default(model, "call_test_step", "test_step", "pred_step")


def trains(model: ModelLike) -> bool:
    """Whether a model is made to be trained: it has an optimizer, or steps of the user's that do without."""
    return model.optimizer is not None or not is_default(model, "call_train_step", "train_step")


def refuse_traced(method: str, model: ModelLike, instead: str) -> None:
    """Say so where a method that runs Python in between is called under a transformation."""
    if is_transformed(model):
        raise TypeError(
            f"`{method}` can't be traced: it does more than compute. Under `jit`, `vmap` or `grad` call {instead}."
        )
