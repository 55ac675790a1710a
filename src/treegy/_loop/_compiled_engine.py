"""The engine that compiles chunks, as nearly all models have it."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from .._data._batch import Batch
from .._data._chunk import Batches, shapes_of
from .._steps._model_like import ModelLike
from .._types import PyTree
from ._chunk_program import call_program
from ._chunks import Chunked, filled, picked
from ._engine import Engine, copied
from ._kinds import Kind
from ._metric_values import each_of
from ._retrace import is_last, note_batch
from ._traced_step import TracedStep

# Of the arrays that a step changes: more aren't kept for steps that are run ahead of the hooks for them.
_MOST_BYTES_KEPT = 256_000_000


class CompiledEngine(Engine):
    """Chunks are compiled, carry what a step changes, and donate that when they train."""

    _explained = False

    def __init__(self, model: ModelLike, kind: Kind, held: ModelLike | None = None):
        super().__init__(model, kind, held)
        self._changed: dict[Hashable, tuple[bool, ...]] = {}
        self._may_run_ahead: bool | None = None
        self._traced_first: TracedStep | None = None

    def _look(self, first: Batch) -> None:
        traced = self._traced_first = self._traced(first)
        self._changed[shapes_of(first)] = traced.changed
        if not self._kind.predicts:
            self._empty = traced.empty

    @property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one: of some convolutions on the CPU."""
        assert self._traced_first is not None
        return self._traced_first.slow_in_loops

    def _run(self, data: Batches, first: int, start: int, n: int) -> tuple[PyTree, PyTree]:
        return self._call(self._kind.trains, self._kind.chunk, data, first, start, n)

    def _call(
        self, donates: bool, chunk: Chunked, data: Batches, first: int, start: int, n: int
    ) -> tuple[PyTree, PyTree]:
        changed = self._changes(data)
        if donates:
            # The one copy of what the user holds, which is never donated.
            alien = [i for i, c in enumerate(changed) if c and not self._owned[i]]
            for i, copy in zip(alien, copied([self._arrays[i] for i in alien]) if alien else (), strict=True):
                self._arrays[i], self._owned[i] = copy, True
        carried = picked(self._arrays, changed)
        kept = [a for a, c in zip(self._arrays, changed, strict=True) if not c]
        inputs = (carried, self._results, kept, data, np.int32(first), np.int32(start), np.int32(n))
        carried, result, marker = call_program(donates, chunk, self._frozen, changed, *inputs)
        self._arrays = filled(self._arrays, carried, changed)
        self._owned = [owned or c for owned, c in zip(self._owned, changed, strict=True)]
        return result, marker

    @property
    def can_run_ahead(self) -> bool:
        if self._may_run_ahead is None:
            assert self._traced_first is not None
            size = sum(a.nbytes for a in picked(self._arrays, self._traced_first.changed))
            # What calls Python would do so twice. And the steps of large models are long.
            is_small = size <= _MOST_BYTES_KEPT
            self._may_run_ahead = is_small and not self._traced_first.calls_back
        return self._may_run_ahead

    def _run_with_values(self, data: Batches, first: int, n: int) -> list[dict[str, Any]]:
        start, self._index = self._index, self._index + n
        # What is donated is gone, and from there it may have to be run again.
        donates = self._kind.trains and not self.can_run_ahead
        (self._results, values), _ = self._call(donates, self._kind.chunk_with_values, data, first, start - first, n)
        return each_of(values, first, n)

    def _changes(self, data: Batches) -> tuple[bool, ...]:
        """Return which arrays a step over such batches changes."""
        shapes = data.shapes
        if shapes not in self._changed:
            self._changed[shapes] = self._traced(data.batch).changed
            # A last, smaller batch is nothing to talk about.
            if not self._explained and (len(self._changed) > 2 or not is_last(shapes, next(iter(self._changed)))):
                self._explained = True
                assert self._first is not None
                note_batch(self._kind.name, self._first, data.batch)
        return self._changed[shapes]
