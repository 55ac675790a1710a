"""`ReduceLROnPlateau`: a smaller learning rate when a metric value doesn't get better any more."""

from .._checks import fraction, number, positive
from .._loop._callback import Callback, Logs
from .._loop._monitor import Monitor
from .._types import Mode, Values
from ._set_learning_rate import Hyperparameter


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by a factor when a metric value hasn't become better for some epochs.

    The rate must be a part of the optimizer's state: `optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)`, or
    [`treegy.Optimizer`][]. Changing it compiles nothing again.

    **Raises:** `ValueError` when training begins if the optimizer has no such rate, or if it follows a schedule;
    `KeyError` if there will be no such metric value.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: Mode = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        name: str | None = None,
    ):
        """**Arguments:**

        - `monitor`, `mode`, `min_delta`: as in [`treegy.callbacks.EarlyStopping`][].
        - `factor`: what the rate is multiplied with, from 0 to below 1.
        - `patience`: after how many epochs without the metric value's being better.
        - `cooldown`: how many epochs to wait after that before looking again.
        - `min_lr`: what the rate doesn't fall below.
        - `name`: of the rate among the hyperparameters; `lr` or `learning_rate` by default.
        """
        self._monitor = Monitor(monitor, mode, min_delta)
        self._factor = fraction("factor", factor)
        self._patience = positive("patience", patience, zero=True)
        self._cooldown = positive("cooldown", cooldown, zero=True)
        self._min_lr = number("min_lr", min_lr)
        self._rate = Hyperparameter(name)
        self._begin()

    def _begin(self) -> None:
        self._best = self._monitor.worst
        self._waited = self._cooling = 0

    def on_train_begin(self, logs: Logs) -> None:
        self._begin()
        self._monitor.expect(self.training_run, type(self).__name__)
        self._rate.check(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self._monitor.read(logs, self.training_run, type(self).__name__)
        if value is None:
            return
        if self._cooling:
            self._cooling -= 1
            self._waited = 0
        if self._monitor.better(value, self._best):
            self._best, self._waited = value, 0
        elif not self._cooling:
            self._waited += 1
            model = self.model
            rate = self._rate.read(model)
            if self._waited >= self._patience and rate > self._min_lr:
                self.model = self._rate.replaced(model, max(rate * self._factor, self._min_lr))
                self._waited, self._cooling = 0, self._cooldown

    def state(self) -> Values:
        return {"best": self._best, "waited": self._waited, "cooling": self._cooling}

    def restore(self, state: Values) -> None:
        self._best, self._waited, self._cooling = state["best"], state["waited"], state["cooling"]
