"""Chunks: many steps as one program.

A chunk is a `fori_loop` whose trip count is traced, so that one program serves chunks of any length. What it carries
from step to step are the arrays of the model that a step changes, and what is made of the steps' results: merged logs,
or stacked predictions. Where its batches come from is the business of `_data`, and running it that of `_engine.py`.

Everything in a model that isn't an array is part of the program's identity: a second `fit`, or another model of the
same structure, compiles nothing again.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._data._chunk import Batches
from .._describe import array_name, path_name
from .._steps._convolutions import channels_last
from .._steps._hashable import hashable_combine, hashable_partition
from .._steps._model_like import M
from .._terms._logs import StepLogs
from .._types import PyTree
from ._traced_step import Step, traced_step

Chunked = Callable[[Any, PyTree, Batches, ArrayLike, ArrayLike, ArrayLike], tuple[Any, PyTree]]
"""Many steps: of a model, the results so far, batches, which of these is the first, which step the one at 0 is, and how
many."""


def _looped(
    step: Step,
    fold: Callable[[PyTree, PyTree, ArrayLike], PyTree],
    model: M,
    result: PyTree,
    data: Batches,
    first: ArrayLike,
    start: ArrayLike,
    n: ArrayLike,
) -> tuple[M, PyTree]:
    """`n` steps over the batches of `data` from the `first` on. The one at 0 is the `start`-th of its run."""
    arrays, frozen = hashable_partition(model)
    changed = traced_step(step, frozen, arrays, data.batch).changed
    run = channels_last(functools.partial(step.run, frozen))

    def body(i: ArrayLike, carry: PyTree) -> PyTree:
        carried, result = carry
        after, new = run(filled(arrays, carried, changed), data.at(i), start + i)
        return picked(after, changed), fold(result, new, i)

    carry = (picked(arrays, changed), result)
    # A chunk with room for one step only is no loop: straight-line programs are compiled to something faster.
    carried, result = body(0, carry) if data.steps == 1 else jax.lax.fori_loop(first, first + n, body, carry)
    return hashable_combine(filled(arrays, carried, changed), frozen), result


def picked(arrays: Sequence[PyTree], changed: Sequence[bool]) -> list[PyTree]:
    """Return those arrays that a step changes: what is carried."""
    return [a for a, c in zip(arrays, changed, strict=True) if c]


def filled(arrays: Sequence[PyTree], carried: Sequence[PyTree], changed: Sequence[bool]) -> list[PyTree]:
    """Return all arrays, with what was carried in its places."""
    source = iter(carried)
    return [next(source) if c else a for a, c in zip(arrays, changed, strict=True)]


def merged(old: StepLogs, new: StepLogs, i: ArrayLike | None = None) -> StepLogs:
    """Accumulators after another batch, of the dtypes that they had: or the loop would not be one."""
    merged = old.merge(new)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(old.each), jax.tree.leaves(merged.each), strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise TypeError(
                f"merging accumulators changed `logs{path_name(path)}` from {array_name(a)} to {array_name(b)}; an "
                "`Accumulator` keeps its shapes and dtypes."
            )
    return jax.tree.map(lambda a, b: jnp.asarray(b, a.dtype), old, merged)


def _written(stacked: PyTree, one: PyTree, i: ArrayLike) -> PyTree:
    """What is stacked, with that of the `i`-th step written into its place."""
    return jax.tree.map(lambda s, y: jax.lax.dynamic_update_index_in_dim(s, y, i, 0), stacked, one)


def merged_chunk(
    step: Step, model: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, StepLogs]:
    """`n` steps that train or evaluate: the model after them, and the logs with theirs merged in."""
    return _looped(step, merged, model, logs, data, first, start, n)


def merged_chunk_with_values(
    step: Step,
    model: M,
    logs: StepLogs,
    data: Batches,
    first: ArrayLike,
    start: ArrayLike,
    n: ArrayLike,
) -> tuple[M, tuple[StepLogs, PyTree]]:
    """`merged_chunk`, and besides the logs the metric values after each step, stacked as the batches are."""

    def fold(results: tuple[StepLogs, PyTree], new: StepLogs, i: ArrayLike) -> tuple[StepLogs, PyTree]:
        # Behind the barrier they are computed as they are from logs that are there, and so to the same bits.
        logs = jax.lax.optimization_barrier(merged(results[0], new))
        return logs, _written(results[1], logs.compute(), i)

    one = jax.eval_shape(StepLogs.compute, logs)
    return _looped(step, fold, model, (logs, _room(data, one)), data, first, start, n)


def _room(data: Batches, one: PyTree) -> PyTree:
    """Return room for what each step over `data` gives, whose shapes are those of `one`."""
    return jax.tree.map(lambda s: jnp.zeros((data.steps, *s.shape), s.dtype), one)


def predicted_chunk(
    step: Step, model: M, y_pred: PyTree, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, PyTree]:
    """`n` prediction steps: the model after them, and the predictions, stacked as the batches are."""
    del y_pred
    arrays, frozen = hashable_partition(model)
    one = traced_step(step, frozen, arrays, data.batch).result
    return _looped(step, _written, model, _room(data, one), data, first, start, n)
