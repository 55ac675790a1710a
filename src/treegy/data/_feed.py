"""The data path: how the batches of an epoch reach the device, in chunks.

On the CPU arrays stay where the user has them: a chunk is gathered into one of a few aligned buffers, which jax then
reads in place. A buffer is filled again only after the chunk that read it has finished; nothing else hands one out.
On an accelerator, data that fits is placed there once, and a chunk is only the positions of its examples.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import is_key
from .._driver import Examples
from ._arrays import Arrays

_SLOTS = 3
_ALIGNMENT = 64


class Stacked(NamedTuple):
    """Batches of the same size, one after the other: leaves `(steps, batch, ...)`."""

    examples: Examples
    class_weight: Any

    def at(self, i: Any) -> Examples:
        """The `i`-th batch."""
        return jax.tree.map(lambda a: a[i], self.examples)._replace(class_weight=self.class_weight)

    @property
    def batch(self) -> Examples:
        """The shapes of one batch."""
        shapes: Examples = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), self.examples)
        return shapes._replace(class_weight=self.class_weight)

    @property
    def steps(self) -> int:
        return jax.tree.leaves(self.examples)[0].shape[0]

    @property
    def size(self) -> int:
        return jax.tree.leaves(self.examples)[0].shape[1]


class Placed(NamedTuple):
    """All examples, where the device has them, and the positions `(steps, batch)` of those in each batch."""

    examples: Examples
    positions: Any
    class_weight: Any

    def at(self, i: Any) -> Examples:
        """The `i`-th batch."""
        where = self.positions[i]
        return jax.tree.map(lambda a: jnp.take(a, where, axis=0), self.examples)._replace(
            class_weight=self.class_weight
        )

    @property
    def batch(self) -> Examples:
        """The shapes of one batch."""
        shapes: Examples = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((self.size, *a.shape[1:]), a.dtype), self.examples
        )
        return shapes._replace(class_weight=self.class_weight)

    @property
    def steps(self) -> int:
        return self.positions.shape[0]

    @property
    def size(self) -> int:
        return self.positions.shape[1]


class Chunk(NamedTuple):
    """What one compiled call works on."""

    data: Any
    n: int
    """How many of its batches are filled."""
    size: int
    """How many examples are in each."""
    done: Callable[[Any], None]
    """To be called with an array that is ready once the data has been used."""


class Feed:
    """The batches of some arrays, a pass at a time."""

    def __init__(
        self, arrays: Arrays, batch_size: int, steps: int, class_weight: Any = None, place: bool | None = None
    ):
        """**Arguments:**

        - `arrays`: the data.
        - `batch_size`, `steps`: how many examples are in a batch, and how many batches at most in a chunk.
        - `class_weight`: what every batch has besides its examples.
        - `place`: whether to place all data on the device; decided by where it runs and what fits if `None`.
        """
        self._arrays = arrays
        self._batch_size = batch_size
        self._steps = steps
        self._class_weight = None if class_weight is None else jnp.asarray(class_weight)
        leaves, self._tree = jax.tree.flatten(Examples(arrays.x, arrays.y, arrays.sample_weight))
        self._placed = fits_on_device(arrays) if place is None else place
        if self._placed:
            self._leaves = [jnp.asarray(leaf) for leaf in leaves]
        else:
            # On the CPU a jax array is host memory too; keys alone have no NumPy form.
            self._leaves = [
                leaf if isinstance(leaf, jax.Array) and is_key(leaf) else np.asarray(leaf) for leaf in leaves
            ]
        self._rings: dict[int, _Ring] = {}

    @property
    def steps(self) -> int:
        """How many batches at most are in a chunk."""
        return self._steps

    def epoch(
        self,
        order: Callable[[int, int], Any] | None = None,
        *,
        stop: int | None = None,
        remainder: bool = True,
        most: Callable[[], int] | None = None,
    ) -> Iterator[Chunk]:
        """One pass. The last, smaller batch is a chunk of its own.

        **Arguments:**

        - `order`: the positions from `start` on, `size` many, of this pass; `None` for the order of the arrays.
        - `stop`: after how many batches to stop, if not at the end.
        - `remainder`: whether the last batch is used if it is smaller.
        - `most`: how many batches the next chunk may have, if fewer than the feed's `steps`.
        """
        size = self._batch_size
        full, rest = divmod(self._arrays.length, size)
        if stop is not None and stop <= full:
            full, rest = stop, 0
        done = 0
        while done < full:
            n = min(self._steps, full - done, self._steps if most is None else most())
            yield self._chunk(order, done * size, n, self._steps, size)
            done += n
        if rest and remainder:
            yield self._chunk(order, full * size, 1, 1, rest)

    def _chunk(self, order: Callable[[int, int], Any] | None, start: int, n: int, steps: int, size: int) -> Chunk:
        picked = n * size
        if self._placed:
            positions = np.zeros(steps * size, np.int32)
            positions[:picked] = np.arange(start, start + picked) if order is None else order(start, picked)
            examples = jax.tree.unflatten(self._tree, self._leaves)
            data = Placed(examples, jnp.asarray(positions.reshape(steps, size)), self._class_weight)
            return Chunk(data, n, size, lambda marker: None)
        positions = None if order is None else order(start, picked)
        ring = self._rings.setdefault(size, _Ring(self._leaves, steps, size))
        slot = ring.next()
        leaves = [
            _gathered(leaf, buffer, positions, start, picked, steps, size)
            for leaf, buffer in zip(self._leaves, slot.buffers, strict=True)
        ]
        data = Stacked(jax.tree.unflatten(self._tree, leaves), self._class_weight)
        return Chunk(data, n, size, slot.used)


def fits_on_device(arrays: Arrays) -> bool:
    """Whether the data goes to the device as a whole: on an accelerator, if it takes at most half of what is free."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return False
    stats = device.memory_stats() or {}
    free = stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0)
    return arrays.length * arrays.bytes_per_example <= free // 2


class _Slot:
    """One set of buffers, and what tells that they may be filled again."""

    def __init__(self, buffers: list[Any]):
        self.buffers = buffers
        self.marker: Any = None

    def used(self, marker: Any) -> None:
        self.marker = marker


class _Ring:
    """A few sets of buffers that take turns."""

    def __init__(self, leaves: list[Any], steps: int, size: int):
        self._shapes = [
            None if isinstance(leaf, jax.Array) else ((steps * size, *leaf.shape[1:]), leaf.dtype) for leaf in leaves
        ]
        self._slots: list[_Slot] = []
        self._turn = 0

    def next(self) -> _Slot:
        """A set of buffers that nothing reads any more: new, or one whose chunk has finished."""
        if len(self._slots) < _SLOTS:
            slot = _Slot([None if s is None else _aligned(*s) for s in self._shapes])
            self._slots.append(slot)
            return slot
        slot = self._slots[self._turn]
        self._turn = (self._turn + 1) % _SLOTS
        if slot.marker is None:
            # Whoever took it never said that it is done with it, so it may still be read: leave it alone.
            slot.buffers = [None if s is None else _aligned(*s) for s in self._shapes]
        else:
            # jax reads aligned memory in place: refilling before the chunk has finished would corrupt it silently.
            jax.block_until_ready(slot.marker)
        slot.marker = None
        return slot


def _aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of zeros in memory that starts at a multiple of 64 bytes, which jax doesn't need to copy."""
    count = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count].view(dtype).reshape(shape)


def _gathered(leaf: Any, buffer: Any, positions: Any, start: int, picked: int, steps: int, size: int) -> Any:
    """Examples of one leaf in a buffer, as a jax array `(steps, batch, ...)`."""
    if buffer is None:
        part = leaf[start : start + picked] if positions is None else jnp.take(leaf, jnp.asarray(positions), axis=0)
        # Keys can't be padded with zeros: repeat what there is.
        part = jnp.take(part, jnp.arange(steps * size) % picked, axis=0)
        return part.reshape(steps, size, *leaf.shape[1:])
    if positions is None:
        buffer[:picked] = leaf[start : start + picked]
    else:
        # `mode="clip"` writes into the buffer directly; positions are within bounds.
        np.take(leaf, positions, axis=0, out=buffer[:picked], mode="clip")
    return jax.device_put(buffer.reshape(steps, size, *leaf.shape[1:]))
