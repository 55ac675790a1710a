"""How many steps a chunk makes, so that whoever watches sees something move."""

import time
from collections.abc import Callable
from typing import Any

# A chunk should take about so many seconds.
_SECONDS = 0.1


class Pace:
    """The length of chunks, from how long steps take; as long as can be if nobody looks."""

    def __init__(self, limit: int, watched: bool):
        """**Arguments:**

        - `limit`: how many steps a chunk can have.
        - `watched`: whether somebody looks, so that the first chunks are short: a step might take seconds.
        """
        self._limit = limit
        self._steps = min(limit, 4) if watched else limit
        self._since: tuple[float, int] | None = None

    def steps(self) -> int:
        """How many steps the next chunk has."""
        return self._steps

    def looking(self, look: Callable[[], Any], done: int) -> Callable[[], Any]:
        """`look`, which waits for `done` steps to be finished, and so tells how long they took."""

        def looked() -> Any:
            found, now = look(), time.perf_counter()
            if self._since is not None and done > self._since[1]:
                each = (now - self._since[0]) / (done - self._since[1])
                self._steps = max(1, min(self._limit, int(_SECONDS / max(each, 1e-9))))
            self._since = now, done
            return found

        return looked
