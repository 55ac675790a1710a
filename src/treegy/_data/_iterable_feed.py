"""Batches on their way to the device, as an iterable gives them.

They are copied into the buffers of a chunk as they come. While the device computes a chunk, the next one is being
filled: dispatch is asynchronous, so no thread is needed for that.
"""

import time
from collections.abc import Hashable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from .._describe import is_key
from .._sharding._placing import everywhere, room_for, split_batches
from .._sharding._strategy import Strategy
from .._types import PyTree
from ._as_arrays import named_leaves
from ._batch import Batch
from ._chunk import Chunk, Stacked
from ._in_32_bits import check_fits_32_bits
from ._pass import Pass
from ._ring_buffer import Ring, Slot
from ._source import Feed

# A chunk isn't filled for longer than so many seconds: the device would wait for a slow source.
PATIENCE = 0.1
# Buffers are kept for so many shapes of batches.
_RINGS = 4


@runtime_checkable
class Given(Protocol):
    """What gives batches one by one, and takes one back."""

    class_weight: PyTree

    def peek(self) -> Batch: ...
    def take(self, stop: int | None, start: int = 0) -> Iterator[Batch]: ...
    def put_back(self, batch: Batch) -> None: ...
    def drop(self) -> None: ...


class BatchFeed(Feed):
    """The batches of an iterable, a pass at a time."""

    def __init__(self, source: Given, steps: int, strategy: Strategy | None):
        self._source = source
        self._strategy = strategy
        self.steps = steps
        self._class_weight = everywhere(jax.tree.map(jnp.asarray, source.class_weight), strategy)
        # Batches of other shapes than the first come one at a time: there may be many shapes, and a chunk of each.
        self._usual = signature_of(source.peek())
        self._rings: dict[Hashable, Ring] = {}

    def chunks(self, within: Pass) -> Iterator[Chunk]:
        filling: _Filling | None = None
        batches = self._source.take(within.stop, within.skip)
        while True:
            try:
                batch = next(batches, None)
            except Exception:
                if filling is not None:
                    # What was read counts as trained on, so it has to be.
                    yield filling.chunk(self._class_weight, self._strategy)
                raise
            if batch is None:
                break
            signature = signature_of(batch)
            if filling is not None and filling.signature != signature:
                # A backup that is made meanwhile must not miss it.
                self._source.put_back(batch)
                yield filling.chunk(self._class_weight, self._strategy)
                batch, filling = self._source.peek(), None
                self._source.drop()
            if filling is None:
                room = self.steps if signature == self._usual else 1
                limit = room if within.room is None else min(room, within.room())
                filling = _Filling(batch, signature, self._ring(signature, batch, room).next(), room, limit)
            filling.add(batch)
            if filling.is_full:
                yield filling.chunk(self._class_weight, self._strategy)
                filling = None
        if filling is not None:
            yield filling.chunk(self._class_weight, self._strategy)

    def _ring(self, signature: Hashable, batch: Batch, room: int) -> Ring:
        ring = self._rings.pop(signature, None) or Ring(
            [
                None if _stays(a) else ((room, room_for(len(a), self._strategy), *a.shape[1:]), a.dtype)
                for a in jax.tree.leaves(batch)
            ]
        )
        self._rings[signature] = ring
        if len(self._rings) > _RINGS:
            del self._rings[next(iter(self._rings))]
        return ring


class _Filling:
    """A chunk while batches are copied into it."""

    def __init__(self, first: Batch, signature: Hashable, slot: Slot, room: int, limit: int):
        self.signature = signature
        self._slot = slot
        self._room = room
        self._limit = limit
        self._n = 0
        self._tree = jax.tree.structure(first)
        self._size = jax.tree.leaves(first)[0].shape[0]
        self._staying: list[list[Any]] = [[] for _ in slot.buffers]
        self._wide = {i: name for i, (name, a) in enumerate(named_leaves(first)) if a.dtype.itemsize >= 8}
        self._until = time.perf_counter() + PATIENCE

    @property
    def is_full(self) -> bool:
        return self._n >= self._limit or time.perf_counter() > self._until

    def add(self, batch: Batch) -> None:
        for i, leaf in enumerate(jax.tree.leaves(batch)):
            buffer = self._slot.buffers[i]
            if buffer is None:
                self._staying[i].append(leaf)
                continue
            if i in self._wide:
                check_fits_32_bits(leaf, self._wide[i])
            buffer[self._n, : self._size] = leaf
        self._n += 1

    def chunk(self, class_weight: PyTree, strategy: Strategy | None) -> Chunk:
        room = room_for(self._size, strategy)
        leaves = [
            split_batches(self._stacked(staying, strategy) if buffer is None else buffer, strategy, room)
            for buffer, staying in zip(self._slot.buffers, self._staying, strict=True)
        ]
        data = Stacked(jax.tree.unflatten(self._tree, leaves), class_weight, self._size)
        return Chunk(data, self._n, self._size, self._slot.used)

    def _stacked(self, staying: list[Any], strategy: Strategy | None) -> Any:
        # Room that isn't filled is never looked at.
        stacked = jnp.stack(staying + staying[-1:] * (self._room - self._n))
        room = room_for(self._size, strategy)
        return stacked if room == self._size else jnp.take(stacked, jnp.arange(room) % self._size, axis=1)


def signature_of(batch: Batch) -> Hashable:
    return tuple((a.shape, a.dtype) for a in jax.tree.leaves(batch))


def _stays(leaf: PyTree) -> bool:
    """Whether a leaf is better left where it is: on an accelerator; keys have no NumPy form."""
    return isinstance(leaf, jax.Array) and (is_key(leaf) or next(iter(leaf.devices())).platform != "cpu")
