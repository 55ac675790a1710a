"""Warnings that point at the line of whoever uses treegy, however deep below it something is noticed."""

import contextlib
import os
import sys
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jaxtyping

HERE = str(Path(__file__).parent) + os.sep
"""Where treegy's files are."""
WRAPPERS = (
    *(str(Path(path).parent) + os.sep for path in (eqx.__file__, jax.__file__, jaxtyping.__file__)),
    "<@beartype",
)
"""How the files begin that lie between a function and its caller: libraries, and the checks that beartype writes."""

# What may lie between the user's line and ours.
_BETWEEN = (HERE, *WRAPPERS, contextlib.__file__)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something, at the line outside of this package that led here."""
    level, frame = 2, sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
