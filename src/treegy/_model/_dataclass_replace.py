"""`dataclasses.replace` and `copy.replace` of a model, which keep what it was trained to."""

import dataclasses
import sys
from pathlib import Path
from types import FrameType

import equinox as eqx
import jaxtyping

from .._steps._model_like import ModelLike
from .._types import PyTree
from ._replace import replaced

# `dataclasses.replace` of Python 3.13 leaves the work to another function, as does `copy.replace`.
_CODES = [
    fn.__code__ for fn in (getattr(dataclasses, name, None) for name in ("replace", "_replace")) if fn is not None
]
# What may lie between that function and ours, with the checks that others write around them.
_BETWEEN = (__file__, str(Path(eqx.__file__).parent), str(Path(jaxtyping.__file__).parent), "<@beartype")


def keep_trained(new: ModelLike) -> None:
    """Make `new`, a model whose constructor is about to end, what `model.replace` gives, where it is to replace one.

    Dataclasses are replaced by calling the constructor with the fields that it takes. What a model carries besides is
    none of them, so that only the caller knows the old model.
    """
    frame = _caller()
    if frame is None or frame.f_code not in _CODES:
        return
    old: PyTree = frame.f_locals.get("obj", frame.f_locals.get("self"))
    if type(old) is not type(new) or not old.initialized:
        return
    given = frame.f_locals["changes"]
    changed = {name: value for name, value in given.items() if value is not getattr(old, name)}
    kept = replaced(old, changed)
    for field in dataclasses.fields(new):
        object.__setattr__(new, field.name, getattr(kept, field.name))


def _caller() -> FrameType | None:
    """Return the frame in which the constructor was called."""
    frame: FrameType | None = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        code = frame.f_code
        if code.co_name != "__check_init__" and not code.co_filename.startswith(_BETWEEN):
            return frame
        frame = frame.f_back
    return None
