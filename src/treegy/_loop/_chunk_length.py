"""How many steps a chunk makes: enough that Python's share is small, and few enough that who watches sees it move."""

import time
from typing import Any

import jax

from .._checks import positive
from .._types import PyTree

# More steps in a compiled call, or larger buffers for their batches, make nothing faster.
MOST_STEPS, _BYTES = 32, 8_000_000
# A chunk should take about so many seconds.
_SECONDS = 0.2
# At most so many times as long as the one before, whose time may have been measured badly.
_GROWTH = 4


class ChunkLength:
    """The length of chunks, from how long they take; as long as can be if nobody looks."""

    def __init__(self, limit: int, watched: bool):
        """**Arguments:**

        - `limit`: how many steps a chunk can have.
        - `watched`: whether somebody looks, so that the first chunks are short: a step might take seconds.
        """
        self._limit = limit
        self._watched = watched
        self._steps = min(limit, 4) if watched else limit
        self._before: tuple[int, Any] | None = None
        self._since = 0.0

    def steps(self) -> int:
        """Return how many steps the next chunk has."""
        return self._steps

    def be_short(self) -> None:
        """Have the next chunk make one step: somebody looks at the model within chunks. Later ones are longer again."""
        self._steps = 1

    def ran(self, n: int, marker: PyTree) -> None:
        """A chunk of `n` steps is on its way. If somebody looks, waits for the one before it, and so tells its time.

        **Arguments:**

        - `marker`: an array that is ready once the chunk has been computed.
        """
        if not self._watched:
            return
        if self._before is not None:
            steps, before = self._before
            jax.block_until_ready(before)
            now = time.perf_counter()
            each = max(now - self._since, 1e-9) / steps
            self._steps = max(1, min(self._limit, _GROWTH * max(self._steps, n), int(_SECONDS / each)))
            self._since = now
        else:
            self._since = time.perf_counter()
        self._before = n, marker


def steps_in_chunk(name: str, value: object, batch_bytes: int, steps: int | None) -> int:
    """Return how many steps one compiled call makes: so many that Python's share is small, in little memory."""
    if isinstance(value, str) and value != "auto":
        raise TypeError(f'`{name}` is {value!r}; an integer of at least 1 or "auto" is expected.')
    if not isinstance(value, str):
        return positive(name, value) if steps is None else min(positive(name, value), max(steps, 1))
    return max(1, min(MOST_STEPS if steps is None else steps, MOST_STEPS, _BYTES // max(batch_bytes, 1)))
