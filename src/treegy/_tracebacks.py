"""Tracebacks that show the user's lines: treegy's own frames are left out, as JAX leaves out its own."""

from types import TracebackType

import jax

from ._errors import is_own
from ._warn import HERE


def shorten(error: BaseException) -> None:
    """Leave treegy's frames out of the traceback of an error, and of the errors that led to it.

    The last frame stays where it is treegy's and the error isn't one of treegy's own: it may be a fault of treegy.
    `JAX_TRACEBACK_FILTERING=off` leaves all of them where they are.
    """
    if getattr(jax.config, "jax_traceback_filtering", None) == "off":
        return
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        one = errors.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _shortened(one.__traceback__, keeps_last=not is_own(one))
        errors += [one.__cause__, one.__context__]


def _shortened(traceback: TracebackType | None, keeps_last: bool) -> TracebackType | None:
    frames: list[TracebackType] = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    shown: TracebackType | None = None
    for i, each in reversed(list(enumerate(frames))):
        is_last = i == len(frames) - 1
        if not each.tb_frame.f_code.co_filename.startswith(HERE) or (is_last and keeps_last):
            shown = TracebackType(shown, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return shown
