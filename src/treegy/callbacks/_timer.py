"""`Timer`: stop after a time."""

import datetime
import time

from .._callback import Callback, Logs


class Timer(Callback):
    """Stop training after a time: soon after it has passed, in the middle of an epoch too.

    `time_elapsed` says how many seconds the training has taken.
    """

    def __init__(self, duration: float | datetime.timedelta):
        """**Arguments:**

        - `duration`: seconds, or a `timedelta`.
        """
        self._duration = duration.total_seconds() if isinstance(duration, datetime.timedelta) else float(duration)
        if self._duration <= 0:
            raise ValueError(f"`duration` is {duration}; a time above 0 is expected.")
        self._began: float | None = None
        self._before = 0.0

    @property
    def time_elapsed(self) -> float:
        return self._before + (0.0 if self._began is None else time.monotonic() - self._began)

    def on_train_begin(self, logs: Logs) -> None:
        self._began, self._before = time.monotonic(), 0.0

    def heartbeat(self, step: int) -> None:
        self._look()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._look()

    def on_train_end(self, logs: Logs) -> None:
        self._before, self._began = self.time_elapsed, None

    def _look(self) -> None:
        if self.time_elapsed >= self._duration:
            self.stop(f"the time of {self._duration:g} s was over")

    def state(self) -> dict[str, float]:
        return {"time_elapsed": self.time_elapsed}

    def restore(self, state: dict[str, float]) -> None:  # type: ignore[override]
        self._before = state["time_elapsed"]
