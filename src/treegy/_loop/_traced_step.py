"""One step of each kind over a model's arrays, and what a trace of it tells before it has run.

They are jitted for their caches only: asking which arrays a step changes, what it logs, and building a chunk of it, all
share one trace of the user's code.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._data._batch import Batch
from .._steps._convolutions import slow_in_loops
from .._steps._equations import calls_back
from .._steps._hashable import Shapes, Static, hashable_combine, hashable_partition
from .._steps._run_step import predict, test, train
from .._terms._class_weight import Labelled, noted_labels
from .._terms._logs import StepLogs
from .._types import PyTree
from ._retrace import note_model

StepFunction = Callable[..., tuple[list[PyTree], PyTree]]
"""A step over a model's arrays, with its batch: those of the model after it, and its logs or predictions."""


@functools.partial(jax.jit, static_argnums=0)
def train_step(
    frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike
) -> tuple[list[PyTree], StepLogs]:
    model, logs = train(hashable_combine(arrays, frozen), examples)
    return hashable_partition(model)[0], logs


@functools.partial(jax.jit, static_argnums=0)
def test_step(frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike) -> tuple[list[PyTree], StepLogs]:
    model, logs = test(hashable_combine(arrays, frozen), examples, index)
    return hashable_partition(model)[0], logs


@functools.partial(jax.jit, static_argnums=0)
def predict_step(
    frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike
) -> tuple[list[PyTree], PyTree]:
    model, y_pred = predict(hashable_combine(arrays, frozen), examples.x, index)
    return hashable_partition(model)[0], y_pred


# By the first word of the functions above, and of those for stacks.
_NAMES = {"train": "train", "test": "test", "predict": "pred"}


class TracedStep:
    """What a trace of a step tells. It holds shapes only, and keeps no arrays alive."""

    result: PyTree
    """The shapes of its logs or predictions."""
    changed: tuple[bool, ...]
    """Which of the model's arrays it changes: the others are no part of the loop."""
    labelled: list[Labelled]
    """The losses that class weights reach, and what their labels are."""

    def __init__(self, step: StepFunction, frozen: Static, shapes: Shapes):
        self._step, self._frozen, self._shapes = step, frozen, shapes
        arrays, _ = shapes.structs
        note_model(_NAMES[getattr(step, "__name__", "").partition("_")[0]], frozen, arrays, shapes.key)
        with noted_labels() as self.labelled:
            traced = self._traced()
        before, after = traced.jaxpr.jaxpr.invars, traced.jaxpr.jaxpr.outvars
        self.changed = tuple(after[i] is not before[i] for i in range(len(arrays)))
        _, self.result = traced.out_info

    def _traced(self) -> Any:
        step: Any = self._step
        jitted = step if hasattr(step, "trace") else step.__wrapped__  # `beartype.claw` makes it a function
        return jitted.trace(self._frozen, *self._shapes.structs, jax.ShapeDtypeStruct((), np.int32))

    @functools.cached_property
    def empty(self) -> StepLogs:
        """The logs of no examples."""
        # Arrays also within a trace, which would leave its own behind.
        with jax.ensure_compile_time_eval():
            zeros: StepLogs = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), self.result)
            return zeros.empty()

    @functools.cached_property
    def calls_back(self) -> bool:
        """Whether it calls Python while it runs, as `eqx.error_if` and `jax.debug.print` do."""
        return calls_back(self._traced().jaxpr.jaxpr)

    @functools.cached_property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one: of some convolutions on the CPU."""
        return slow_in_loops(functools.partial(self._step, self._frozen), *self._shapes.structs, np.int32(0))


@functools.lru_cache(maxsize=256)
def known(step: StepFunction, frozen: Static, shapes: Shapes) -> TracedStep:
    return TracedStep(step, frozen, shapes)


def traced_step(step: StepFunction, frozen: Static, arrays: list[PyTree], examples: Batch) -> TracedStep:
    """Return what a trace of a step tells. Nothing is traced for it more than once."""
    return known(step, frozen, Shapes((arrays, examples)))
