"""Ctrl-C: the first one asks to stop soon, the second one stops at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """While this context lasts, the first Ctrl-C is noted instead of raised.

    Only where Ctrl-C would raise `KeyboardInterrupt`: a handler of somebody else's is left alone, and so are threads.
    """

    def __init__(self):
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._put_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._put_back()

    def _put_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
