"""`WandB`: figures for Weights & Biases."""

import importlib
from collections.abc import Mapping
from typing import Any

from .._callback import Logs
from .._places import local
from ._figure_logger import FigureLogger, scalars
from ._forgiven import Loss


class WandB(FigureLogger):
    """Log figures to a run of Weights & Biases, over `epoch` or, those with `batch_` in front, over `step`.

    Needs wandb: `pip install "treegy[wandb]"`. A run that is under way (`wandb.init(...)`) is used and stays open;
    else one is made with the first epoch, and finished in the end. A training that
    [`treegy.callbacks.BackupAndRestore`][] goes on with goes on in its run, in which the figures of steps that are made
    again are there twice, the same both times.
    """

    def __init__(self, update_freq: str | int = "epoch", **init: Any):
        """**Arguments:**

        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.
        - `**init`: for `wandb.init`, such as `project`, `config` and `mode="offline"`.

        **Raises:** `ImportError` without wandb.
        """
        super().__init__(update_freq)
        self._wandb = _wandb()
        if init.get("dir") is not None:
            init["dir"] = str(local("dir", init["dir"]))
        self._init = init
        self._logged: Any = None
        self._earlier: str | None = None
        self._own = False

    def on_train_begin(self, logs: Logs) -> None:
        self._logged, self._earlier = None, None
        self._loss = Loss(type(self).__name__)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._start()

    def _start(self) -> None:
        """Make the run if there is none: not before it is known whether the training goes on."""
        if self._logged is not None:
            return
        again = {} if self._earlier is None else {"id": self._earlier, "resume": "allow"}
        self._own = self._wandb.run is None
        self._logged = self._wandb.init(**{**self._init, **again}) if self._own else self._wandb.run
        self._logged.define_metric("*", step_metric="epoch")
        self._logged.define_metric("batch_*", step_metric="step")

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        self._start()
        axis = "step" if any(name.startswith("batch_") for name in figures) else "epoch"
        self._logged.log({**scalars(figures), axis: step})

    def state(self) -> Mapping[str, Any]:
        return {"id": None if self._logged is None else self._logged.id}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._earlier = state["id"]
        self._start()

    def close(self) -> None:
        if self._own and self._logged is not None:
            with self._loss.of("finish its run"):
                self._logged.finish()
        self._logged, self._own = None, False


def _wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise ImportError('`WandB` logs with wandb: pip install "treegy[wandb]"') from error
