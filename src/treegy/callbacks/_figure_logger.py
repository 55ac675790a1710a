"""What loggers have in common: which figures they write at which step."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._callback import Callback, Logs
from ._forgiven import Loss


class FigureLogger(Callback):
    """Figures of every epoch, and of every so many steps within it, given to `write`.

    What `write` raises costs the log, with one warning, and not the run.
    """

    def __init__(self, update_freq: str | int = "epoch"):
        if update_freq == "batch":
            update_freq = 1
        if update_freq != "epoch" and (not isinstance(update_freq, int) or update_freq < 1):
            raise ValueError(f'`update_freq` is {update_freq!r}; "epoch", "batch" or a number of steps is expected.')
        self._steps = None if update_freq == "epoch" else int(update_freq)
        self._loss = Loss(type(self).__name__)

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        """**Arguments:**

        - `figures`: floats, or arrays, by name: those of an epoch as they are called, those of steps with `batch_`
            in front.
        - `step`: the number of the epoch counted from 0, or of the step counted from 1.
        """
        raise NotImplementedError

    def next_step(self, step: int) -> int | None:
        return None if self._steps is None else (step // self._steps + 1) * self._steps

    def on_step_end(self, step: int, logs: Logs) -> None:
        if self._loss.now:
            return  # until the end of the epoch, when it is tried again
        with self._loss.of("write its log, which misses what can't be written"):
            self.write({f"batch_{name}": value for name, value in logs.items()}, step)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with self._loss.of("write its log, which misses what can't be written"):
            self.write(logs, epoch)


def scalars(figures: Mapping[str, Any]) -> dict[str, float]:
    """Figures as scalars: those that are arrays have one for each element, `name/0`, `name/1`, ..."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        array = np.asarray(value)
        if array.ndim == 0:
            found[name] = float(array)
        else:
            found.update({f"{name}/{i}": float(v) for i, v in enumerate(array.reshape(-1))})
    return found
