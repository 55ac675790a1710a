"""A file that at most one run has at a time."""

import os
import weakref
from pathlib import Path
from typing import TextIO

from .._errors import CheckpointError


class Lock:
    """What keeps other processes out of a directory. It ends with the process, however that ends."""

    def __init__(self, path: Path):
        """**Raises:** [`treegy.CheckpointError`][] if somebody else has it."""
        self._file: TextIO = path.open("a+", encoding="utf-8", errors="replace")
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read(20).strip()
            self._file.close()
            raise CheckpointError(
                f"'{path.parent}' is in use by another run{f' (process {owner})' if owner else ''}: two can't "
                "write into one directory. Give each its own."
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        _HELD.add(self)

    def release(self) -> None:
        """Let others have it."""
        self._file.close()


_HELD: weakref.WeakSet[Lock] = weakref.WeakSet()


def _let_go() -> None:
    for lock in list(_HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    # The processes of a loader may live for seconds after this one was killed, and would hold what it held.
    os.register_at_fork(after_in_child=_let_go)
