"""`MLflow`: figures for MLflow."""

import importlib
from collections.abc import Mapping
from typing import Any

from .._callback import Logs
from ._figure_logger import FigureLogger, scalars


class MLflow(FigureLogger):
    """Log figures to a run of MLflow.

    Needs mlflow: `pip install "treegy[mlflow]"`. A run that is under way (`mlflow.start_run()`) is used and stays open;
    else one is started when training begins, and ended in the end: as failed, if training was.
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
        self._ended = False

    def on_train_begin(self, logs: Logs) -> None:
        self._own = self._mlflow.active_run() is None
        self._ended = False
        if self._own:
            self._mlflow.start_run(**self._start_run)
        if self._params:
            self._mlflow.log_params(self._params)

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        # MLflow allows letters, digits, and few other signs in names.
        self._mlflow.log_metrics(
            {name.replace("[", ".").replace("]", ""): v for name, v in scalars(figures).items()}, step=step
        )

    def on_train_end(self, logs: Logs) -> None:
        self._ended = True

    def close(self) -> None:
        if self._own:
            self._mlflow.end_run("FINISHED" if self._ended else "FAILED")
        self._own = False


def _mlflow() -> Any:
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise ImportError('`MLflow` logs with mlflow: pip install "treegy[mlflow]"') from error
