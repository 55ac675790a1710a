"""The engine: runs chunks one after the other, and holds the model and the logs in between.

What a chunk changes is given to the next one, whose results take its place in memory. The user's own arrays are never
given away: what they hold is copied once, before the first chunk.
"""

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from .._data._batch import Batch
from .._data._chunk import Batches, shapes_of
from .._errors import CheckpointError
from .._steps._dispatch import is_default_jit
from .._steps._hashable import Shapes, Static, hashable_combine, hashable_partition
from .._steps._model_like import ModelLike
from .._terms._logs import Logs
from .._types import Function, PyTree
from ._chunks import Chunked, Kind, filled, merged, picked
from ._retrace import note_batch


def _flat(
    chunk: Chunked,
    frozen: Static,
    changed: tuple[bool, ...],
    carried: list[PyTree],
    result: PyTree,
    kept: list[PyTree],
    data: Batches,
    start: ArrayLike,
    n: ArrayLike,
) -> tuple[list[PyTree], PyTree, PyTree]:
    others = iter(kept)
    arrays = [None if c else next(others) for c in changed]
    model, result = chunk(hashable_combine(filled(arrays, carried, changed), frozen), result, data, start, n)
    carried = picked(hashable_partition(model)[0], changed)
    # The marker is never donated: waiting for it is waiting for what the chunk computes, and so for its data not being
    # read any more.
    marker, _ = jax.lax.optimization_barrier((start + n, jax.tree.leaves((result, carried))[:1]))
    return carried, result, marker


# Of XLA, for the CPU; others don't look at them.
_OPTIONS: dict[str, Any] = {
    # A loop would copy an array in every step if it is read after its successor is there, as weights are in the
    # backward pass. XLA looks closer if told so.
    "xla_cpu_copy_insertion_use_region_analysis": True,
    # What is given to YNNPACK: by default these and convolutions, whose gradients take up to three times as long there.
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        f"LIBRARY_FUSION_TYPE_{what}" for what in ("DOT", "REDUCE", "INDIVIDUAL_DOT")
    ),
}


@functools.lru_cache(maxsize=1024)
def program(donates: bool, chunk: Chunked, frozen: Static, changed: tuple[bool, ...]) -> Any:
    # One function for each model, and no static arguments: JAX has caches of these that can't be cleared.
    flat = functools.partial(_flat, chunk, frozen, changed)
    return jax.jit(flat, donate_argnums=(0,) if donates else (), compiler_options=dict(_OPTIONS) or None)


def _run(donates: bool, chunk: Chunked, frozen: Static, changed: tuple[bool, ...], *args: Any) -> Any:
    """`_flat`, compiled."""
    try:
        return program(donates, chunk, frozen, changed)(*args)
    except jax.errors.JaxRuntimeError as error:
        # Raised before anything is donated: an XLA that doesn't have an option, or not any more, does without.
        unknown = [name for name in _OPTIONS if name in str(error)]
        if not unknown:
            raise
        for name in unknown:
            del _OPTIONS[name]
        program.cache_clear()
        return _run(donates, chunk, frozen, changed, *args)


@jax.jit
def _copied(arrays: list[PyTree]) -> list[PyTree]:
    return [jnp.copy(a) for a in arrays]


def _owned(arrays: list[PyTree], held: ModelLike | None) -> list[bool]:
    """Which arrays are nobody else's: not among those held, and each but once."""
    others = {id(leaf) for leaf in jax.tree.leaves(held)}
    owned: list[bool] = []
    for array in arrays:
        owned.append(id(array) not in others)
        others.add(id(array))
    return owned


def _is_last(shapes: Any, usual: Any) -> bool:
    """Whether a batch differs from the usual ones only in having fewer examples."""
    return len(shapes) == len(usual) and all(
        a[1] == b[1] and a[0][1:] == b[0][1:] and a[0][0] <= b[0][0] for a, b in zip(shapes, usual, strict=True)
    )


class Engine:
    """A model that runs chunks of one kind, and what they have accumulated."""

    def __init__(self, model: ModelLike, kind: Kind, first: Batch | None = None, held: ModelLike | None = None):
        """**Arguments:**

        - `model`: the model to start from, which stays valid.
        - `kind`: `TRAIN`, `TEST` or `PREDICT`.
        - `first`: a batch, of which only shapes are looked at; without it `see` is called before the first chunk.
        - `held`: what the user holds, if that isn't all of `model`: the rest needn't be copied before it is donated.
        """
        self._kind = kind
        self._eager = bool(model.run_eagerly)
        self._compiled = None if self._eager or is_default_jit(model) else model.jit_step(kind.chunk)
        self._arrays, self._frozen = hashable_partition(model)
        if kind.trains:
            # Steps return arrays without weak types: with them, the next `fit` would compile everything again.
            self._arrays = [jnp.asarray(a, a.dtype) if getattr(a, "weak_type", False) else a for a in self._arrays]
        self._owned = _owned(self._arrays, model if held is None else held)
        self._index = 0
        self._changed: dict[Hashable, tuple[bool, ...]] = {}
        self._explained = False
        self._empty: Logs | None = None
        if self._compiled is not None:
            self._arrays = _copied(self._arrays)
        self._first: Batch | None = None
        self._restored: list[Array] = []
        self.reset()
        if first is not None:
            self.see(first)

    def see(self, first: Batch) -> None:
        """Look at the shapes of a batch, before the first chunk: what a step changes and logs follows from them.

        **Raises:** [`treegy.CheckpointError`][] if what was restored doesn't fit.
        """
        self._first = first
        # Run eagerly, the first batch says what is logged: a trace of shapes alone could not run code that looks at
        # values.
        if not self._eager:
            self._changed[shapes_of(first)] = self._of_step(self._kind.changed, first)
            if not self._kind.predicts:
                self._empty = self._of_step(self._kind.empty, first)
        self.reset()
        if self._restored:
            self._restore(self._restored)

    def _of_step(self, known: Function, examples: Batch) -> PyTree:
        return known(self._frozen, self._arrays, examples)

    @functools.cached_property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one: of some convolutions on the CPU."""
        if self._eager or self._compiled is not None:
            return False
        assert self._first is not None
        return self._of_step(self._kind.slow_in_loops, self._first)

    def reset(self) -> None:
        """Accumulate from scratch, as at the start of an epoch."""
        # What users compile may donate it.
        self._results: PyTree = self._empty if self._compiled is None else jax.tree.map(jnp.copy, self._empty)

    def run(self, data: Batches, n: int) -> tuple[PyTree, PyTree]:
        """Run `n` steps over batches.

        **Returns:**

        `(result, marker)`: merged logs or stacked predictions, and an array that is ready once the data has been used.
        """
        start, self._index = self._index, self._index + n
        if self._eager:
            result, marker = self._run_eagerly(data, start, n), None
        elif self._compiled is not None:
            model, result = self._compiled(self.model, self._results, data, jnp.int32(start), jnp.int32(n))
            # What users compile may donate anything: so this is waited for now, and nothing later.
            jax.block_until_ready(result)
            self._arrays, marker = hashable_partition(model)[0], ()
        else:
            result, marker = self._run_compiled(data, start, n)
        if not self._kind.predicts:
            self._results = result
        return result, marker

    def _run_compiled(self, data: Batches, start: int, n: int) -> tuple[PyTree, PyTree]:
        changed = self._changes(data)
        if self._kind.trains:
            # The one copy of what the user holds, which is never donated.
            alien = [i for i, c in enumerate(changed) if c and not self._owned[i]]
            for i, copy in zip(alien, _copied([self._arrays[i] for i in alien]) if alien else (), strict=True):
                self._arrays[i], self._owned[i] = copy, True
        carried = picked(self._arrays, changed)
        kept = [a for a, c in zip(self._arrays, changed, strict=True) if not c]
        carried, result, marker = _run(
            self._kind.trains,
            self._kind.chunk,
            self._frozen,
            changed,
            carried,
            self._results,
            kept,
            data,
            np.int32(start),
            np.int32(n),
        )
        self._arrays = filled(self._arrays, carried, changed)
        return result, marker

    def _changes(self, data: Batches) -> tuple[bool, ...]:
        """Which arrays a step over such batches changes."""
        shapes = data.shapes
        if shapes not in self._changed:
            self._changed[shapes] = self._of_step(self._kind.changed, data.batch)
            # A last, smaller batch is nothing to talk about.
            if not self._explained and (len(self._changed) > 2 or not _is_last(shapes, next(iter(self._changed)))):
                self._explained = True
                assert self._first is not None
                note_batch(self._kind.name, self._first, data.batch)
        return self._changed[shapes]

    def _run_eagerly(self, data: Batches, start: int, n: int) -> PyTree:
        model, predictions, logs = self.model, [], self._results
        for i in range(n):
            model, result = self._kind.eager(model, data.at(i), start + i)
            if self._kind.predicts:
                predictions.append(result)
            else:
                logs = result if logs is None else merged(logs, result)
        self._arrays = hashable_partition(model)[0]
        return jax.tree.map(lambda *y: jnp.stack(y), *predictions) if self._kind.predicts else logs

    @property
    def model(self) -> ModelLike:
        """The model as it is now. Its arrays are the engine's: the next training chunk may donate them."""
        return hashable_combine(self._arrays, self._frozen)

    def copy(self) -> ModelLike:
        """The model as it is now, with arrays of its own."""
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
    def empty(self) -> Logs | None:
        """The logs of no examples; `None` where the first batch has to be run to know what is logged."""
        return self._empty

    @property
    def logs(self) -> Logs:
        """What was accumulated since the last reset."""
        return self._results if self._results is not None else Logs.of({})
