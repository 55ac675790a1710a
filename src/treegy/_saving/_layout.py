"""How a checkpoint is known from outside: the name of its directory, and those of the files in it."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

DOCUMENT, ARRAYS = "treegy.json", "treegy.bin"
"""The files of a checkpoint. Their names are the mark: no directory is one for being called by a number."""

_STEP = re.compile("0|[1-9][0-9]*", re.ASCII)


@runtime_checkable
class AnyPath(Protocol):
    """A `pathlib.Path`, or the path of a store, which is one of `etils.epath` and has the same methods."""

    @property
    def name(self) -> str: ...
    def __fspath__(self) -> str: ...
    def __truediv__(self, key: str, /) -> "AnyPath": ...
    def exists(self) -> bool: ...
    def is_dir(self) -> bool: ...
    def iterdir(self) -> Iterable["AnyPath"]: ...
    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None: ...
    def open(self, mode: str, /) -> IO[bytes]: ...
    def read_bytes(self) -> bytes: ...
    def unlink(self) -> None: ...
    def rmdir(self) -> None: ...


def is_checkpoint(place: AnyPath) -> bool:
    """Whether a directory is a checkpoint, or what is left of one that was damaged."""
    return bool(_STEP.fullmatch(place.name)) and place.is_dir() and any(is_there(place / n) for n in (DOCUMENT, ARRAYS))


def is_there(file: AnyPath) -> bool:
    """Whether there is something of that name, a broken link too."""
    return os.path.lexists(file) if isinstance(file, Path) else bool(file.exists())
