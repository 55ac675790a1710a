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
import jax.numpy as jnp

from .._describe import is_transformed
from .._sharding._placing import readable
from .._types import PyTree
from ._compiler_options import compiled, dropped_unknown
from ._convolutions import channels_last
from ._dispatch import is_default_jit
from ._equations import calls_back
from ._hashable import Static, hashable_combine, hashable_partition
from ._homes import at_home, split
from ._model_like import M, ModelLike
from ._runtime_errors import as_written
from ._stacks import of_stack, size_of_stack

# The model after the step, where there is one; and a batch, or all data of a run.
R = TypeVar("R")
B = TypeVar("B")


@jax.tree_util.register_pytree_node_class
class _Returned:
    """What a program returns of a model: the arrays that the step has made, and what the rest of it is."""

    def __init__(self, new: list[PyTree], kept: tuple[int | None, ...], frozen: Static):
        self.new, self.kept, self.frozen = new, kept, frozen

    @classmethod
    def of(cls, model: PyTree, before: list[PyTree]) -> "_Returned":
        """Return that of a model; `before` are the arrays that it is made of."""
        places = {id(array): i for i, array in enumerate(before)}
        arrays, frozen = hashable_partition(model)
        kept = tuple(places.get(id(array)) for array in arrays)
        return cls([a for a, place in zip(arrays, kept, strict=True) if place is None], kept, frozen)

    def model(self, before: list[PyTree]) -> Any:
        new = iter(self.new)
        return hashable_combine([next(new) if i is None else before[i] for i in self.kept], self.frozen)

    def tree_flatten(self) -> tuple[tuple[list[PyTree]], tuple[tuple[int | None, ...], Static]]:
        return (self.new,), (self.kept, self.frozen)

    @classmethod
    def tree_unflatten(cls, rest: tuple[tuple[int | None, ...], Static], new: tuple[list[PyTree]]) -> "_Returned":
        return cls(new[0], *rest)


class Program:
    """A step of all models that are alike but for their arrays."""

    def __init__(self, step: Callable[..., tuple[Any, PyTree]], frozen: Static):
        self._is_new = False
        self._can_raise = False

        def flat(arrays: list[PyTree], batch: PyTree) -> tuple[_Returned, PyTree]:
            # This runs while it is traced, and for nothing else.
            self._is_new = True
            model, result = step(hashable_combine(arrays, frozen), batch)
            return _Returned.of(model, arrays), result

        self._function = channels_last(flat)
        self._flat = compiled(self._function)

    def __call__(self, arrays: list[PyTree], batch: PyTree) -> tuple[Any, PyTree]:
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
        return returned.model(arrays), result


@functools.lru_cache(maxsize=256)
def program(step: Callable[..., tuple[Any, PyTree]], frozen: Static) -> Program:
    return Program(step, frozen)


def call_step(step: Callable[[M, B], tuple[R, PyTree]], model: M, batch: B) -> tuple[R, PyTree]:
    """Call a step of a model, compiled as the model wants it; under a trace, as a part of what is traced."""
    if size_of_stack(model) is not None:
        step = of_stack(step)
    if model.run_eagerly:
        return step(model, batch)
    if not is_default_jit(model):
        return model.jit_step(step)(model, batch)
    arrays, frozen = hashable_partition(model)
    if is_transformed(arrays, batch):
        # NumPy's arrays, which a compiled step takes as they are, are none of JAX's here.
        return step(model, jax.tree.map(jnp.asarray, batch))
    if model.strategy is not None:
        model, batch = at_home(model), split(model, batch)
        arrays, frozen = hashable_partition(model)
    model_after, result = program(step, frozen)(arrays, batch)
    return model_after, readable(result, model.strategy)


def is_compiled_by_treegy(model: ModelLike) -> bool:
    """Whether steps take NumPy's arrays as they are: what users compile, or don't, gets JAX's."""
    return not model.run_eagerly and is_default_jit(model)
