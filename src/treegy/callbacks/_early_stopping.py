"""`EarlyStopping`: stop when a metric value doesn't get better any more."""

import math
from typing import Any

from .._checks import flag, number, positive
from .._loop._callback import Callback, Logs
from .._loop._monitor import Monitor
from .._saving._checkpoints import named_arrays, with_named_arrays
from .._steps._model_like import ModelLike
from .._types import Mode, Values
from ._measured import measured


class EarlyStopping(Callback):
    """Stop when a metric value hasn't become better for some epochs, and go back to the best model.

    Epochs without the value, because validation wasn't due, don't count. NaN is never better, nor is it the first best.
    With a `baseline`, an epoch that is better than all before it and still not than the baseline counts as one that
    isn't better, so that training stops after `patience` of them, where Keras continues as long as values get better.
    Otherwise it stops when Keras's does.

    After training, `best_epoch` and `best` say what the best was. `best_model` is the model that was measured then,
    with averaged parameters if validation looked at those ([`treegy.callbacks.EMA`][]), and `best_trained` the one that
    was trained, both with the optimizer's state. In the end, the model is `best_trained`, of which
    `EMA(swap_at_end=True)` makes the averaged one.

    **Raises:** `KeyError` before the first step if there will be no such metric value.

    !!! example

        ```python
        import treegy as tg

        stopping = tg.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
        ```
    """

    best: float
    best_epoch: int | None
    best_model: Any
    best_trained: Any

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        """**Arguments:**

        - `monitor`: the name of the metric value.
        - `min_delta`: by how much it must change to be better.
        - `patience`: how many epochs may pass without its being better; with 0 the first such epoch is the last.
        - `mode`: `"min"` or `"max"`: what better is; `"auto"` goes by the name.
        - `baseline`: what the value must be better than, to begin with.
        - `restore_best_weights`: whether the model is in the end that of the best epoch, with its optimizer's state,
            also where training ended by itself.
        - `start_from_epoch`: the first epoch that is looked at, counted from 0.
        """
        self._monitor = Monitor(monitor, mode, min_delta)
        self._patience = positive("patience", patience, zero=True)
        self._baseline = None if baseline is None else number("baseline", baseline)
        self._restores = flag("restore_best_weights", restore_best_weights)
        # In `best_model`.
        self.holds_model: bool = self._restores
        self._start = positive("start_from_epoch", start_from_epoch, zero=True)
        self._begin()

    def _begin(self) -> None:
        self.best = self._monitor.worst
        self.best_epoch, self.best_model, self.best_trained = None, None, None
        self._waited = 0

    def on_train_begin(self, logs: Logs) -> None:
        self._begin()
        self._monitor.expect(self.training_run, type(self).__name__)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self._monitor.read(logs, self.training_run, type(self).__name__)
        if value is None or epoch < self._start:
            return
        self._waited += 1
        # The first one is the best so far even if it is infinite.
        first = self.best_epoch is None and not math.isnan(value)
        if first or self._monitor.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            self._keep(self.model if self._restores else None)
            if self._baseline is None or self._monitor.better(value, self._baseline):
                self._waited = 0
        if self._waited > 0 and self._waited >= self._patience:
            at = "" if self.best_epoch is None else f", {self.best:.6g} in epoch {self.best_epoch + 1}"
            self.stop(f"{self._monitor.name} was not better for {self._waited} epochs than its best{at}")

    def _keep(self, trained: Any) -> None:
        self.best_trained = trained
        self.best_model = None if trained is None else measured(trained, self.training_run, self._monitor.name)

    def on_train_end(self, logs: Logs) -> None:
        if self._restores and self.best_trained is not None:
            self.model = self.best_trained

    def state(self) -> Values:
        arrays = None if self.best_trained is None else named_arrays(self.best_trained.states)
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self._waited, "best_states": arrays}

    def restore(self, state: Values) -> None:
        self.best, self.best_epoch, self._waited = state["best"], state["best_epoch"], state["waited"]
        if state["best_states"] is not None:
            model: ModelLike = self.model
            states = with_named_arrays(model.states, state["best_states"], "The backup of the best model")
            self._keep(model.replace(states=states))
