"""`MLflow`: figures for MLflow."""

import importlib
from collections.abc import Mapping
from typing import Any

from .._callback import Logs
from ._figure_logger import FigureLogger, scalars
from ._forgiven import Loss

# Arguments of `mlflow.start_run` that make a new run, and not one that goes on.
_OF_NEW_RUNS = ("run_id", "experiment_id", "run_name", "parent_run_id", "tags", "description")


class MLflow(FigureLogger):
    """Log figures to a run of MLflow.

    Needs mlflow: `pip install "treegy[mlflow]"`. A run that is under way (`mlflow.start_run()`) is used and stays open;
    else one is started with the first epoch, and ended in the end: as failed, if training was. A training that
    [`treegy.callbacks.BackupAndRestore`][] goes on with goes on in its run.
    """

    def __init__(self, update_freq: str | int = "epoch", params: Mapping[str, Any] | None = None, **start_run: Any):
        """**Arguments:**

        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.
        - `params`: parameters of the run to log.
        - `**start_run`: for `mlflow.start_run`, such as `run_name`.

        **Raises:** `ImportError` without mlflow.
        """
        super().__init__(update_freq)
        self._mlflow = _mlflow()
        self._params = dict(params or {})
        self._start_run = start_run
        self._own = False
        self._begin()

    def _begin(self) -> None:
        self._run_id: str | None = None
        self._earlier: str | None = None
        self._written: dict[str, set[int]] = {}
        self._ended = False

    def on_train_begin(self, logs: Logs) -> None:
        self._begin()
        self._loss = Loss(type(self).__name__)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._start()

    def _start(self) -> None:
        """Start the run if there is none: not before it is known whether the training goes on."""
        if self._run_id is not None:
            return
        run = self._mlflow.active_run()
        self._own = run is None
        if self._own and self._earlier is not None:
            again = {name: value for name, value in self._start_run.items() if name not in _OF_NEW_RUNS}
            run = self._mlflow.start_run(run_id=self._earlier, **again)
        elif self._own:
            run = self._mlflow.start_run(**self._start_run)
        self._run_id = run.info.run_id
        if self._params and self._run_id != self._earlier:
            self._mlflow.log_params(self._params)

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        self._start()
        # MLflow allows letters, digits, and few other signs in names.
        named = {name.replace("[", ".").replace("]", ""): v for name, v in scalars(figures).items()}
        self._mlflow.log_metrics({n: v for n, v in named.items() if not self._has(n, step)}, step=step)

    def _has(self, name: str, step: int) -> bool:
        """Whether the run has this figure from before an interruption."""
        if self._run_id != self._earlier:
            return False
        if name not in self._written:
            history = self._mlflow.MlflowClient().get_metric_history(self._run_id, name)
            self._written[name] = {metric.step for metric in history}
        return step in self._written[name]

    def state(self) -> Mapping[str, Any]:
        return {"run_id": self._run_id}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._earlier = state["run_id"]
        self._start()

    def on_train_end(self, logs: Logs) -> None:
        self._ended = True

    def close(self) -> None:
        if self._own:
            with self._loss.of("end its run"):
                self._mlflow.end_run("FINISHED" if self._ended else "FAILED")
        self._own = False


def _mlflow() -> Any:
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise ImportError('`MLflow` logs with mlflow: pip install "treegy[mlflow]"') from error
