"""The program of a chunk, with the model's arrays apart: those that a step changes can be donated."""

import functools
from typing import Any

import jax
from jax.typing import ArrayLike

from .._data._chunk import Batches
from .._steps._compiler_options import compiled, dropped_unknown
from .._steps._hashable import Static, hashable_combine, hashable_partition
from .._types import PyTree
from ._chunks import Chunked, filled, picked


def _flat(
    chunk: Chunked,
    frozen: Static,
    changed: tuple[bool, ...],
    carried: list[PyTree],
    result: PyTree,
    kept: list[PyTree],
    data: Batches,
    first: ArrayLike,
    start: ArrayLike,
    n: ArrayLike,
) -> tuple[list[PyTree], PyTree, PyTree]:
    others = iter(kept)
    arrays = [None if c else next(others) for c in changed]
    model, result = chunk(hashable_combine(filled(arrays, carried, changed), frozen), result, data, first, start, n)
    carried = picked(hashable_partition(model)[0], changed)
    # The marker is never donated: waiting for it is waiting for what the chunk computes, and so for its data not being
    # read any more.
    marker, _ = jax.lax.optimization_barrier((start + n, jax.tree.leaves((result, carried))[:1]))
    return carried, result, marker


@functools.lru_cache(maxsize=1024)
def program(donates: bool, chunk: Chunked, frozen: Static, changed: tuple[bool, ...]) -> Any:
    # One function for each model, and no static arguments: JAX has caches of these that can't be cleared.
    return compiled(functools.partial(_flat, chunk, frozen, changed), donates_first=donates)


def call_program(donates: bool, chunk: Chunked, frozen: Static, changed: tuple[bool, ...], *args: Any) -> Any:
    """`_flat`, compiled."""
    try:
        return program(donates, chunk, frozen, changed)(*args)
    except jax.errors.JaxRuntimeError as error:
        if not dropped_unknown(error):
            raise
        program.cache_clear()
        return call_program(donates, chunk, frozen, changed, *args)
