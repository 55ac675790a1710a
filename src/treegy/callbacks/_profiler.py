"""`Profiler`: a trace of some steps."""

import os

import jax

from .._loop._callback import Callback, Logs
from .._paths import local
from ._failures import Loss


class Profiler(Callback):
    """A trace of some steps by `jax.profiler`, to be looked at with TensorBoard or Perfetto."""

    def __init__(self, log_dir: str | os.PathLike[str], start: int = 32, steps: int = 32):
        """**Arguments:**

        - `log_dir`: where to write.
        - `start`: after how many steps of the run the trace begins: not the first ones, which compile.
        - `steps`: how many steps it has.
        """
        if start < 0 or steps < 1:
            raise ValueError(f"`start` is {start} and `steps` is {steps}; at least 0 and 1 are expected.")
        # JAX writes into some stores by itself.
        remote = "://" in str(log_dir) and not str(log_dir).startswith("file:")
        self._log_dir = str(log_dir) if remote else str(local("log_dir", log_dir))
        self._start, self._steps = start, steps
        self._window: tuple[int, int] | None = None
        self._tracing = False
        self._loss = Loss("Profiler")

    def on_train_begin(self, logs: Logs) -> None:
        self._window = None
        self._loss = Loss("Profiler")
        if self._start == 0:
            self._begin()

    def next_step(self, step: int) -> int | None:
        if self._window is None:
            # Now: a run that resumes begins later than at its beginning.
            self._window = step + self._start, step + self._start + self._steps
        return next((s for s in self._window if s > step), None)

    def on_step_end(self, step: int, logs: Logs) -> None:
        if self._window is not None and step == self._window[0]:
            self._begin()
        else:
            self._end()

    def on_train_end(self, logs: Logs) -> None:
        self._end()

    def close(self) -> None:
        if self._tracing:
            self._finish_trace()

    def _begin(self) -> None:
        jax.block_until_ready(self.model.parameters)  # what has been given to the device before isn't meant
        jax.profiler.start_trace(self._log_dir)
        self._tracing = True

    def _end(self) -> None:
        if self._tracing:
            jax.block_until_ready(self.model.parameters)
            self._finish_trace()

    def _finish_trace(self) -> None:
        self._tracing = False
        with self._loss.of(f"write its trace into '{self._log_dir}'"):
            jax.profiler.stop_trace()
