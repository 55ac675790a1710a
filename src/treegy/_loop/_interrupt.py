"""Ctrl-C and SIGTERM: the first one asks to stop soon, the second one stops at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """While this context lasts, the first Ctrl-C is noted instead of raised, and so is SIGTERM.

    Schedulers such as Slurm, and clouds that take a machine back, send SIGTERM some time before they kill. A handler
    of somebody else's is left alone, and so are threads.
    """

    def __init__(self, shared: bool = False):
        """**Arguments:**

        - `shared`: whether others run along, so that it is only noted here, and requested when all of them know: a
            signal reaches them at different steps, or one of them alone.
        """
        self.requested = False
        self.noted = False
        self._shared = shared
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
                if signal.getsignal(number) is default:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number in list(self._before):
            self._put_back(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.noted = True
        self.requested = self.requested or not self._shared
        self._put_back(number)

    def _put_back(self, number: int) -> None:
        if number in self._before:
            signal.signal(number, self._before.pop(number))
