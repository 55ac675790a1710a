"""`EarlyStopping`: stop when a metric value doesn't get better any more."""

from typing import Any

import numpy as np

from .._checks import flag, number, positive
from .._loop._callback import Callback, Logs
from .._loop._monitor import Monitor
from .._saving._checkpoints import named_arrays, with_named_arrays
from .._steps._model_like import ModelLike
from .._steps._stacks import size_of_stack, where_models
from .._types import Mode, Values
from ._measured import measured

# Of epochs.
_NONE = -1


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

    Each model of a stack ([`treegy.stack`][]) stops for itself: it stays as it is then, later metric values of it are
    NaN, and the run ends with the last of them. `best` and `best_epoch` are arrays.

    **Raises:** `KeyError` before the first step if there will be no such metric value.

    !!! example

        ```python
        import treegy as tg

        stopping = tg.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
        ```
    """

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
        self.best_model, self.best_trained = None, None
        self._is_stack = False
        self._reset(1)

    def _reset(self, models: int) -> None:
        # Of each model of a stack, or of the only one there is.
        self._best = np.full(models, self._monitor.worst)
        self._best_epoch = np.full(models, _NONE)
        self._waited = np.zeros(models, int)
        self._stopped = np.zeros(models, bool)

    @property
    def best(self) -> Any:
        """The best value; of a stack of models an array of those of each."""
        return self._best if self._is_stack else float(self._best[0])

    @property
    def best_epoch(self) -> Any:
        """The epoch of the best value, `None` if there is none; of a stack an array, with -1 for none."""
        if self._is_stack:
            return self._best_epoch
        return None if self._best_epoch[0] == _NONE else int(self._best_epoch[0])

    def on_train_begin(self, logs: Logs) -> None:
        self._begin()
        models = size_of_stack(self.training_run.model)
        self._is_stack = models is not None
        self._reset(models or 1)
        self._monitor.expect(self.training_run, type(self).__name__)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self._monitor.read_each(logs, self.training_run, type(self).__name__, self._is_stack)
        if value is None or epoch < self._start:
            return
        self._waited += 1
        # The first one is the best so far even if it is infinite.
        first = (self._best_epoch == _NONE) & ~np.isnan(value)
        better = (first | self._monitor.better(value, self._best)) & ~self._stopped
        if better.any():
            self._best = np.where(better, value, self._best)
            self._best_epoch = np.where(better, epoch, self._best_epoch)
            self._keep(self._with_better(better) if self._restores else None)
            counts = better if self._baseline is None else better & self._monitor.better(value, self._baseline)
            self._waited = np.where(counts, 0, self._waited)
        self._stop_those(~self._stopped & (self._waited > 0) & (self._waited >= self._patience))

    def _with_better(self, better: np.ndarray) -> Any:
        if not self._is_stack or self.best_trained is None:
            return self.model
        return where_models(better, self.model, self.best_trained)

    def _stop_those(self, which: np.ndarray) -> None:
        if not which.any():
            return
        name, self._stopped = self._monitor.name, self._stopped | which
        if not self._is_stack:
            at = "" if self.best_epoch is None else f", {self.best:.6g} in epoch {self.best_epoch + 1}"
            at += ", whose model is returned" if at and self._restores else ""
            self.stop(f"{name} was not better for {self._waited[0]} epochs than its best{at}")
            return
        if self._stopped.all():
            self.stop(f"{name} was not better for {self._patience} epochs in any of the {len(which)} models")
        self.training_run.stop_models(self._stopped)

    def _keep(self, trained: Any) -> None:
        self.best_trained = trained
        self.best_model = None if trained is None else measured(trained, self.training_run, self._monitor.name)

    def on_train_end(self, logs: Logs) -> None:
        if self._restores and self.best_trained is not None:
            self.model = self.best_trained

    def state(self) -> Values:
        arrays = None if self.best_trained is None else named_arrays(self.best_trained.states)
        known = (self._best, self._best_epoch, self._waited, self._stopped)
        best, best_epoch, waited, stopped = (each.tolist() for each in known)
        return {"best": best, "best_epoch": best_epoch, "waited": waited, "stopped": stopped, "best_states": arrays}

    def restore(self, state: Values) -> None:
        self._best, self._best_epoch = np.array(state["best"], float), np.array(state["best_epoch"], int)
        self._waited, self._stopped = np.array(state["waited"], int), np.array(state["stopped"], bool)
        if self._stopped.any():
            self.training_run.stop_models(self._stopped)
        if state["best_states"] is not None:
            model: ModelLike = self.model
            states = with_named_arrays(model.states, state["best_states"], "The backup of the best model")
            self._keep(model.replace(states=states))
