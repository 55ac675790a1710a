"""The engine: runs chunks one after the other, and holds the model and the logs in between.

What a chunk changes is given to the next one, whose results take its place in memory. The user's own arrays are never
given away: what they hold is copied once, before the first chunk.
"""

import abc
from collections.abc import Hashable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._data._batch import Batch
from .._data._chunk import Batches, shapes_of
from .._errors import CheckpointError
from .._steps._dispatch import is_default_jit
from .._steps._hashable import Shapes, hashable_combine, hashable_partition
from .._steps._model_like import ModelLike
from .._terms._logs import StepLogs
from .._types import Function, PyTree
from ._chunks import Kind, call_program, filled, merged, picked
from ._retrace import is_last, note_batch


@jax.jit
def _copied(arrays: list[PyTree]) -> list[PyTree]:
    return [jnp.copy(a) for a in arrays]


def _owned(arrays: list[PyTree], held: ModelLike | None) -> list[bool]:
    """Return which arrays are nobody else's: not among those held, and each but once."""
    others = {id(leaf) for leaf in jax.tree.leaves(held)}
    owned: list[bool] = []
    for array in arrays:
        owned.append(id(array) not in others)
        others.add(id(array))
    return owned


class Engine(abc.ABC):
    """A model that runs chunks of one kind, and what they have accumulated."""

    def __init__(self, model: ModelLike, kind: Kind, held: ModelLike | None = None):
        """**Arguments:**

        - `model`: the model to start from, which stays valid.
        - `kind`: `TRAIN`, `TEST` or `PREDICT`.
        - `held`: what the user holds, if that isn't all of `model`: the rest needn't be copied before it is donated.
        """
        self._kind = kind
        self._arrays, self._frozen = hashable_partition(model)
        if kind.trains:
            # Steps return arrays without weak types: with them, the next `fit` would compile everything again.
            self._arrays = [jnp.asarray(a, a.dtype) if getattr(a, "weak_type", False) else a for a in self._arrays]
        self._owned = _owned(self._arrays, model if held is None else held)
        self._index = 0
        self._first: Batch | None = None
        self._empty: StepLogs | None = None
        self._results: PyTree = None
        self._restored: list[Array] = []

    # What the three of them do each in its own way

    @abc.abstractmethod
    def _run(self, data: Batches, start: int, n: int) -> tuple[PyTree, PyTree]:
        """Run `n` steps, the first of which is the `start`-th. Returns what `run` does."""

    def _look(self, first: Batch) -> None:
        """Find out from the shapes of a batch what a step logs."""
        if not self._kind.predicts:
            self._empty = self._of_step(self._kind.empty, first)

    @property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one."""
        return False

    # What they have in common

    def see(self, first: Batch) -> None:
        """Look at the shapes of a batch, before the first chunk: what a step changes and logs follows from them.

        **Raises:** [`treegy.CheckpointError`][] if what was restored doesn't fit.
        """
        self._first = first
        self._look(first)
        self.reset()
        if self._restored:
            self._restore(self._restored)

    def reset(self) -> None:
        """Accumulate from scratch, as at the start of an epoch."""
        self._results = self._empty

    def run(self, data: Batches, n: int) -> tuple[PyTree, PyTree]:
        """Run `n` steps over batches.

        **Returns:**

        `(result, marker)`: merged logs or stacked predictions, and an array that is ready once the data has been used.
        """
        start, self._index = self._index, self._index + n
        result, marker = self._run(data, start, n)
        if not self._kind.predicts:
            self._results = result
        return result, marker

    def _of_step(self, known: Function, examples: Batch) -> PyTree:
        return known(self._frozen, self._arrays, examples)

    @property
    def model(self) -> ModelLike:
        """The model as it is now. Its arrays are the engine's: the next training chunk may donate them."""
        return hashable_combine(self._arrays, self._frozen)

    def copy(self) -> ModelLike:
        """Return the model as it is now, with arrays of its own."""
        return hashable_combine(_copied(self._arrays), self._frozen)

    def replace(self, model: ModelLike) -> None:
        """Continue with another model of the same structure, which stays valid.

        **Raises:** `ValueError` if it is of another structure.
        """
        arrays, frozen = hashable_partition(model)
        old, new = Shapes(self._arrays).key, Shapes(arrays).key
        if frozen != self._frozen or old != new:
            raise ValueError(
                "the model that a callback assigned has another structure than the one that is trained: while `fit` "
                "runs, only the values of its arrays can change."
            )
        self._arrays, self._owned = arrays, [False] * len(arrays)

    def restore(self, leaves: list[Array]) -> None:
        """Resume from the arrays of the logs that were accumulated in another process, before `see` is called, or now.

        **Raises:** [`treegy.CheckpointError`][] if they are those of other logs.
        """
        if self._first is not None and leaves:
            self._restore(leaves)
        else:
            self._restored = leaves

    def _restore(self, leaves: list[Array]) -> None:
        empty = self._empty
        if empty is None:
            assert self._first is not None
            empty = self._of_step(self._kind.empty, self._first)
        old, tree = jax.tree.flatten(empty)
        if [(a.shape, a.dtype) for a in old] != [(a.shape, a.dtype) for a in leaves]:
            raise CheckpointError("The backup is of a run with other losses or metrics.")
        self._results = jax.tree.unflatten(tree, [jnp.asarray(a) for a in leaves])

    @property
    def empty(self) -> StepLogs | None:
        """The logs of no examples; `None` where the first batch has to be run to know what is logged."""
        return self._empty

    @property
    def logs(self) -> StepLogs:
        """What was accumulated since the last reset."""
        return self._results if self._results is not None else StepLogs.of({})


def make_engine(model: ModelLike, kind: Kind, first: Batch | None = None, held: ModelLike | None = None) -> Engine:
    """Return the engine of a model: compiled by treegy, by the model's own `jit_step`, or not at all.

    **Arguments:**

    - `model`, `kind`, `held`: as in [`Engine`][].
    - `first`: a batch, of which only shapes are looked at; without it `see` is called before the first chunk.
    """
    if model.run_eagerly:
        engine: Engine = EagerEngine(model, kind, held)
    elif is_default_jit(model):
        engine = CompiledEngine(model, kind, held)
    else:
        engine = JitStepEngine(model, kind, held)
    if first is not None:
        engine.see(first)
    return engine


class CompiledEngine(Engine):
    """Chunks are compiled, carry what a step changes, and donate that when they train."""

    _explained = False

    def __init__(self, model: ModelLike, kind: Kind, held: ModelLike | None = None):
        super().__init__(model, kind, held)
        self._changed: dict[Hashable, tuple[bool, ...]] = {}

    def _look(self, first: Batch) -> None:
        self._changed[shapes_of(first)] = self._of_step(self._kind.changed, first)
        super()._look(first)

    @property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one: of some convolutions on the CPU."""
        assert self._first is not None
        return self._of_step(self._kind.slow_in_loops, self._first)

    def _run(self, data: Batches, start: int, n: int) -> tuple[PyTree, PyTree]:
        kind, changed = self._kind, self._changes(data)
        if kind.trains:
            # The one copy of what the user holds, which is never donated.
            alien = [i for i, c in enumerate(changed) if c and not self._owned[i]]
            for i, copy in zip(alien, _copied([self._arrays[i] for i in alien]) if alien else (), strict=True):
                self._arrays[i], self._owned[i] = copy, True
        carried = picked(self._arrays, changed)
        kept = [a for a, c in zip(self._arrays, changed, strict=True) if not c]
        inputs = (carried, self._results, kept, data, np.int32(start), np.int32(n))
        carried, result, marker = call_program(kind.trains, kind.chunk, self._frozen, changed, *inputs)
        self._arrays = filled(self._arrays, carried, changed)
        return result, marker

    def _changes(self, data: Batches) -> tuple[bool, ...]:
        """Return which arrays a step over such batches changes."""
        shapes = data.shapes
        if shapes not in self._changed:
            self._changed[shapes] = self._of_step(self._kind.changed, data.batch)
            # A last, smaller batch is nothing to talk about.
            if not self._explained and (len(self._changed) > 2 or not is_last(shapes, next(iter(self._changed)))):
                self._explained = True
                assert self._first is not None
                note_batch(self._kind.name, self._first, data.batch)
        return self._changed[shapes]


class JitStepEngine(Engine):
    """Chunks are compiled by the model's own `jit_step`, which may donate anything."""

    def __init__(self, model: ModelLike, kind: Kind, held: ModelLike | None = None):
        super().__init__(model, kind, held)
        self._compiled = model.jit_step(kind.chunk)
        self._arrays = _copied(self._arrays)

    def reset(self) -> None:
        self._results = jax.tree.map(jnp.copy, self._empty)

    def _run(self, data: Batches, start: int, n: int) -> tuple[PyTree, PyTree]:
        model, result = self._compiled(self.model, self._results, data, jnp.int32(start), jnp.int32(n))
        # So this is waited for now, and nothing later.
        jax.block_until_ready(result)
        self._arrays = hashable_partition(model)[0]
        return result, ()


class EagerEngine(Engine):
    """Steps run operation by operation.

    The first batch says what is logged: a trace of shapes alone could not run code that looks at values.
    """

    def _look(self, first: Batch) -> None: ...

    def _run(self, data: Batches, start: int, n: int) -> tuple[PyTree, PyTree]:
        model, predictions, logs = self.model, [], self._results
        for i in range(n):
            model, result = self._kind.eager(model, data.at(i), start + i)
            if self._kind.predicts:
                predictions.append(result)
            else:
                logs = result if logs is None else merged(logs, result)
        self._arrays = hashable_partition(model)[0]
        return jax.tree.map(lambda *y: jnp.stack(y), *predictions) if self._kind.predicts else logs, None
