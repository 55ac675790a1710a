"""Single steps, compiled: what `train_on_batch`, `test_on_batch` and `predict_on_batch` run.

A step is a program over a flat list of the model's arrays, as the chunks of `fit` are: `jax.jit` over a list costs a
fraction of what it costs over a tree of modules. It is compiled with the same options, and on the CPU its convolutions
are rewritten in the same way. A program is looked up by the step and by everything in the model that isn't an array
(`Static`), and by JAX within it by the shapes and dtypes of the arrays. Nothing is donated: what the user holds
stays valid. Nothing is waited for, unless the program can raise an error (`eqx.error_if`).
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from .._data._batch import Batch
from .._describe import is_traced
from .._types import PyTree
from ._compiler_options import compiled, dropped_unknown
from ._convolutions import channels_last
from ._dispatch import is_default_jit
from ._equations import calls_back
from ._hashable import Static, hashable_combine, hashable_partition
from ._model_like import M, ModelLike
from ._runtime_errors import as_written

# The model after the step, where there is one.
R = TypeVar("R")


class Program:
    """A step of all models that are alike but for their arrays."""

    def __init__(self, step: Callable[..., tuple[Any, PyTree]], frozen: Static):
        self._returned: Static = frozen
        self._is_new = False
        self._can_raise = False

        def flat(arrays: list[PyTree], batch: Batch) -> tuple[list[PyTree], PyTree]:
            # This runs while it is traced, and for nothing else.
            self._is_new = True
            model, result = step(hashable_combine(arrays, frozen), batch)
            returned, self._returned = hashable_partition(model)
            return returned, result

        self._function = channels_last(flat)
        self._flat = compiled(self._function)

    def __call__(self, arrays: list[PyTree], batch: Batch) -> tuple[Any, PyTree]:
        """Return the model after the step, and the step's result."""
        with as_written():
            try:
                returned, result = self._flat(arrays, batch)
            except jax.errors.JaxRuntimeError as error:
                if not dropped_unknown(error):
                    raise
                self._flat = compiled(self._function)
                returned, result = self._flat(arrays, batch)
            if self._is_new:
                self._is_new = False
                self._can_raise = self._can_raise or calls_back(self._flat.trace(arrays, batch).jaxpr.jaxpr)
            if self._can_raise:
                jax.block_until_ready((returned, result))
        return hashable_combine(returned, self._returned), result


@functools.lru_cache(maxsize=256)
def program(step: Callable[..., tuple[Any, PyTree]], frozen: Static) -> Program:
    return Program(step, frozen)


def call_step(step: Callable[[M, Batch], tuple[R, PyTree]], model: M, batch: Batch) -> tuple[R, PyTree]:
    """Call a step of a model, compiled as the model wants it; under a trace, as a part of what is traced."""
    if model.run_eagerly:
        return step(model, batch)
    if not is_default_jit(model):
        return model.jit_step(step)(model, batch)
    arrays, frozen = hashable_partition(model)
    if is_traced((arrays, batch)):
        return step(model, batch)
    return program(step, frozen)(arrays, batch)


def is_compiled_by_treegy(model: ModelLike) -> bool:
    """Whether steps take NumPy's arrays as they are: what users compile, or don't, gets JAX's."""
    return not model.run_eagerly and is_default_jit(model)
