"""`LearningRateScheduler`: a learning rate for each epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._describe import describe
from .._injection._inject import request
from .._loop._callback import Callback, Logs
from .._steps._model_like import ModelLike
from ._set_learning_rate import Hyperparameter


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    The rate must be a part of the optimizer's state, as for [`treegy.callbacks.ReduceLROnPlateau`][]. What follows from
    the step alone is better said to optax, as a schedule.
    """

    def __init__(self, schedule: Callable[..., Any], name: str | None = None):
        """**Arguments:**

        - `schedule`: a function of the epoch, counted from 0, and of the rate so far if it takes two arguments, which
            returns the rate of the epoch; of a stack of models one for all of them, or an array of those of each.
        - `name`: of the rate among the hyperparameters; `lr` or `learning_rate` by default.
        """
        if not callable(schedule):
            raise TypeError(f"`schedule` is {describe(schedule)}; a function of the epoch is expected.")
        self._schedule = schedule
        self._takes_rate = len(request(schedule).names) > 1
        self._rate = Hyperparameter(name)

    def on_train_begin(self, logs: Logs) -> None:
        self._rate.check(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        model: ModelLike = self.model
        rate = self._schedule(epoch, self._rate.read(model)) if self._takes_rate else self._schedule(epoch)
        # Of a stack, each model may have a rate of its own.
        self.model = self._rate.replaced(model, rate if np.ndim(rate) else float(rate))
