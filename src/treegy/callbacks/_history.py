"""`History`: the metric values of every epoch, as a callback."""

from typing import Any

from .._loop import _history
from .._loop._callback import Callback, Logs


class History(Callback):
    """The metric values of every epoch while training runs: those of the [`treegy.History`][] that `fit` returns."""

    def __init__(self):
        self._metric_values = _history.History()

    @property
    def history(self) -> dict[str, list[Any]]:
        """For each name a list with one metric value per epoch."""
        return self._metric_values.history

    @property
    def epoch(self) -> list[int]:
        """The epochs that the lists are about, counted from 0."""
        return self._metric_values.epoch

    def on_train_begin(self, logs: Logs) -> None:
        self._metric_values = self.training_run.history
