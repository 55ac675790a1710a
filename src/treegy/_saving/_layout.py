"""How a checkpoint is known from outside: the name of its directory, and those of the files in it."""

import os
import re
from pathlib import Path
from typing import Any

DOCUMENT, ARRAYS = "treegy.json", "treegy.bin"
"""The files of a checkpoint. Their names are the mark: no directory is one for being called by a number."""

_STEP = re.compile("0|[1-9][0-9]*", re.ASCII)


def is_checkpoint(place: Any) -> bool:
    """Whether a directory is a checkpoint, or what is left of one that was damaged."""
    return bool(_STEP.fullmatch(place.name)) and place.is_dir() and any(is_there(place / n) for n in (DOCUMENT, ARRAYS))


def is_there(file: Any) -> bool:
    """Whether there is something of that name, a broken link too."""
    return os.path.lexists(file) if isinstance(file, Path) else bool(file.exists())
