"""One step of each kind over a model's arrays, and what a trace of it tells before it has run.

They are jitted for their caches only: asking which arrays a step changes, what it logs, and building a chunk of it, all
share one trace of the user's code.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._data._batch import Batch
from .._steps._convolutions import slow_in_loops
from .._steps._equations import calls_back
from .._steps._hashable import Shapes, Static, hashable_combine, hashable_partition
from .._terms._class_weight import Labelled, noted_labels
from .._terms._logs import StepLogs
from .._types import PyTree
from ._retrace import note_model

OneBatch = Callable[[Any, Batch, ArrayLike], tuple[Any, PyTree]]
"""A step of a model, with its batch and which of its run it is: the model after it, and its logs or predictions."""


class Step(NamedTuple):
    """A step over a model's arrays."""

    kind: str
    """`train`, `test` or `pred`."""
    run: Any
    """Takes the rest of the model, its arrays, a batch and which step it is; returns the arrays of the model after it,
    and its logs or predictions. Jitted."""


def step_of(kind: str, one_batch: OneBatch) -> Step:
    """Return a step as one over a model's arrays."""

    def step(frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike) -> tuple[list[PyTree], PyTree]:
        model, result = one_batch(hashable_combine(arrays, frozen), examples, index)
        return hashable_partition(model)[0], result

    step.__name__ = f"{kind}_step"
    return Step(kind, jax.jit(step, static_argnums=0))


class TracedStep:
    """What a trace of a step tells. It holds shapes only, and keeps no arrays alive."""

    result: PyTree
    """The shapes of its logs or predictions."""
    changed: tuple[bool, ...]
    """Which of the model's arrays it changes: the others are no part of the loop."""
    labelled: list[Labelled]
    """The losses that class weights reach, and what their labels are."""

    def __init__(self, step: Step, frozen: Static, shapes: Shapes):
        self._step, self._frozen, self._shapes = step, frozen, shapes
        arrays, _ = shapes.structs
        note_model(step.kind, frozen, arrays, shapes.key)
        with noted_labels() as self.labelled:
            traced = self._traced()
        before, after = traced.jaxpr.jaxpr.invars, traced.jaxpr.jaxpr.outvars
        self.changed = tuple(after[i] is not before[i] for i in range(len(arrays)))
        _, self.result = traced.out_info

    def _traced(self) -> Any:
        return self._step.run.trace(self._frozen, *self._shapes.structs, jax.ShapeDtypeStruct((), np.int32))

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
        return slow_in_loops(functools.partial(self._step.run, self._frozen), *self._shapes.structs, np.int32(0))


@functools.lru_cache(maxsize=256)
def known(step: Step, frozen: Static, shapes: Shapes) -> TracedStep:
    return TracedStep(step, frozen, shapes)


def traced_step(step: Step, frozen: Static, arrays: list[PyTree], examples: Batch) -> TracedStep:
    """Return what a trace of a step tells. Nothing is traced for it more than once."""
    return known(step, frozen, Shapes((arrays, examples)))
