"""The ring: a few sets of aligned buffers that take turns holding the batches of a chunk.

jax reads memory in place that begins at a multiple of 64 bytes, so a chunk that was copied into a buffer isn't copied
again. The price: filling a buffer again before its chunk has finished would corrupt what is computed, silently. So
buffers are handed out here only, and only after the marker of the chunk that had them.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._types import PyTree

_SLOTS = 3
_ALIGNMENT = 64


class Slot:
    """One set of buffers, and what tells that they may be filled again."""

    def __init__(self, buffers: list[Any]):
        self.buffers = buffers
        self.marker: Any = None

    def used(self, marker: PyTree) -> None:
        """Whoever took the buffers is done with them once the array `marker` is ready."""
        self.marker = marker


class Ring:
    """A few sets of buffers that take turns."""

    def __init__(self, shapes: Sequence[tuple[tuple[int, ...], Any] | None]):
        """**Arguments:**

        - `shapes`: the shape and dtype of each buffer of a set; `None` where there is to be none.
        """
        self._shapes = shapes
        self._slots: list[Slot] = []
        self._turn = 0

    def next(self) -> Slot:
        """Return a set of buffers that nothing reads any more: new, or one whose chunk has finished."""
        if len(self._slots) < _SLOTS:
            slot = Slot(self._buffers())
            self._slots.append(slot)
            return slot
        slot = self._slots[self._turn]
        self._turn = (self._turn + 1) % _SLOTS
        if slot.marker is None:
            # Whoever took it never said that it is done with it, so it may still be read: leave it alone.
            slot.buffers = self._buffers()
        else:
            # jax reads aligned memory in place: refilling before the chunk has finished would corrupt it silently.
            jax.block_until_ready(slot.marker)
        slot.marker = None
        return slot

    def _buffers(self) -> list[Any]:
        return [None if s is None else aligned(*s) for s in self._shapes]


def aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array of zeros in memory that starts at a multiple of 64 bytes, which jax doesn't need to copy."""
    count = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count].view(dtype).reshape(shape)
