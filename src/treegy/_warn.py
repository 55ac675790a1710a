"""Warnings that point at the line of whoever uses treegy, however deep below it something is noticed."""

import contextlib
import os
import sys
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jaxtyping

# What may lie between that line and ours, with the checks that beartype writes.
_BETWEEN = (
    *(str(Path(path).parent) + os.sep for path in (__file__, eqx.__file__, jax.__file__, jaxtyping.__file__)),
    contextlib.__file__,
    "<@beartype",
)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something, at the line outside of this package that led here."""
    level, frame = 2, sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
