"""`Timer`: interrupt a run after a time."""

import datetime
import time

from .._loop._callback import Callback, Logs


class Timer(Callback):
    """Interrupt training after a time: soon after it has passed, in the middle of an epoch too.

    With [`treegy.callbacks.BackupAndRestore`][] it resumes when the same script runs again, as jobs of a limited time
    do. Each time the whole duration is there again. An epoch in whose middle it is over isn't validated, and no
    `on_epoch_end` is called for it. `time_elapsed` says how many seconds were used.
    """

    def __init__(self, duration: float | datetime.timedelta):
        """**Arguments:**

        - `duration`: seconds, or a `timedelta`.
        """
        self._duration = duration.total_seconds() if isinstance(duration, datetime.timedelta) else float(duration)
        if self._duration <= 0:
            raise ValueError(f"`duration` is {duration}; a time above 0 is expected.")
        self._began: float | None = None
        self._ended: float | None = None

    @property
    def time_elapsed(self) -> float:
        if self._began is None:
            return 0.0
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    def on_train_begin(self, logs: Logs) -> None:
        self._began, self._ended = time.monotonic(), None

    def heartbeat(self, step: int) -> None:
        self._look()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._look()

    def on_train_end(self, logs: Logs) -> None:
        self._ended = time.monotonic()

    def _look(self) -> None:
        if self.time_elapsed >= self._duration:
            self.stop(f"the time of {self._duration:g} s was over", interrupt=True)
