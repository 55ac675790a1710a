"""What loggers of epochs alone have in common: they end no run, and say that they write nothing of `evaluate`."""

from typing import ClassVar

from .._loop._callback import Callback, Logs
from .._warn import warn
from ._failures import Loss


class EpochLogger(Callback):
    """Metric values of every epoch, and of nothing else."""

    only_first_process: ClassVar[bool] = True

    def __init__(self):
        self._in_fit = False
        self._loss = Loss(type(self).__name__)

    def on_train_begin(self, logs: Logs) -> None:
        self._in_fit = True
        self._loss = Loss(type(self).__name__)

    def on_test_begin(self, logs: Logs) -> None:
        if not self._in_fit:
            warn(
                f"`{type(self).__name__}` writes the metric values of epochs, and so none of `evaluate`, which returns "
                "them."
            )

    def close(self) -> None:
        self._in_fit = False
