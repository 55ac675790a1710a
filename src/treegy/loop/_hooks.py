"""Calling the callbacks: which hooks somebody listens to, and what they are told."""

from collections.abc import Callable, Sequence
from typing import Any

from .._describe import describe
from ..callbacks import Callback


class Hooks:
    """The callbacks of one run. The user's list is never changed."""

    def __init__(self, callbacks: Any, current: Callable[[], Any]):
        """**Arguments:**

        - `callbacks`: a callback, a sequence of them, or `None`.
        - `current`: gives the model as it is now.

        **Raises:** `TypeError` for what isn't a callback.
        """
        if isinstance(callbacks, Callback):
            callbacks = [callbacks]
        if isinstance(callbacks, str) or not isinstance(callbacks, Sequence | None):
            raise TypeError(
                f"`callbacks` is {describe(callbacks)}; a list of `tg.callbacks.Callback`s is expected."
                + _made(callbacks)
            )
        self.callbacks: list[Callback] = list(callbacks or ())
        self.stopped: str | None = None
        for i, callback in enumerate(self.callbacks):
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"`callbacks[{i}]` is {describe(callback)}; an instance of `tg.callbacks.Callback` is expected."
                    + _made(callback)
                )
        for callback in self.callbacks:
            callback._current, callback._stop = current, self._stop  # pyright: ignore[reportPrivateUsage]

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason

    def listens(self, *hooks: str) -> bool:
        """Whether any callback overrides one of these hooks."""
        return any(getattr(type(c), h) is not getattr(Callback, h) for c in self.callbacks for h in hooks)

    def call(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)

    def close(self) -> None:
        """Let go of the model: after the run there is none that is current."""
        for callback in self.callbacks:
            callback._current = callback._stop = None  # pyright: ignore[reportPrivateUsage]


def _made(callback: Any) -> str:
    return f" Make an instance of it: `{callback.__name__}()`." if isinstance(callback, type) else ""
