"""Telling those who throw away what a method returns: models are never changed in place, as Keras's are."""

import dis
import sys
from types import FrameType

from .. import _transfers
from .._describe import is_transformed
from .._loop._callback import Callback
from .._steps._model_like import ModelLike
from .._warn import HERE, WRAPPERS, warn
from . import _bound_method

_POP_TOP, _CACHE = dis.opmap["POP_TOP"], dis.opmap.get("CACHE", 0)

# The lines that were told.
_TOLD: set[tuple[str, int]] = set()


def keeps_model(callbacks: object) -> bool:
    """Whether a callback writes models, or is the user's own, which may do anything with them."""
    there = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    return any(
        callback.holds_model or not type(callback).__module__.startswith("treegy.")
        for callback in there
        if isinstance(callback, Callback)
    )


def tell_if_discarded(model: ModelLike, call: str, instead: str) -> None:
    """Warn if the caller of a method has it in a statement of its own, so that nobody holds what it returns.

    Once for each line of code, and not under a trace.

    **Arguments:**

    - `model`: what the method is called on.
    - `call`, `instead`: how that is spelled, and how it is meant.
    """
    frame = _caller()
    if frame is None or not _is_discarded(frame) or is_transformed(model):
        return
    line = (frame.f_code.co_filename, frame.f_lineno)
    if line not in _TOLD:
        _TOLD.add(line)
        warn(
            f"`{call}` returns its result and changes nothing in place, and this line throws the result away: write "
            f"`{instead}`. This is said once for this line."
        )


def _caller() -> FrameType | None:
    """Return the frame that called the method which asks; `None` if that is treegy itself."""
    method = _skipping(sys._getframe(1), __file__, *WRAPPERS)  # pyright: ignore[reportPrivateUsage]
    frame = None if method is None else _skipping(method.f_back, *WRAPPERS, _transfers.__file__, _bound_method.__file__)
    return None if frame is None or frame.f_code.co_filename.startswith(HERE) else frame


def _skipping(frame: FrameType | None, *files: str) -> FrameType | None:
    while frame is not None and frame.f_code.co_filename.startswith(files):
        frame = frame.f_back
    return frame


def _is_discarded(frame: FrameType) -> bool:
    """Whether the instruction after the one that a frame is at throws away the value on top of the stack."""
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while at < len(code) and code[at] == _CACHE:
        at += 2
    return at < len(code) and code[at] == _POP_TOP
