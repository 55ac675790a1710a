"""`MLflow`: metric values for MLflow."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._types import PyTree, UpdateFreq, Values
from ._logged_names import logged_names
from ._metric_logger import MetricLogger, plain_params

# Arguments of `mlflow.start_run` that make a new run, and not one that resumes.
_OF_NEW_RUNS = ("run_id", "experiment_id", "run_name", "parent_run_id", "tags", "description")
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
_BINS = 30


class MLflow(MetricLogger):
    """Log metric values to a run of MLflow.

    | what | name | `step` |
    |---|---|---|
    | metric values of an epoch, those of its validation | `loss`, `val_loss` | the epoch, counted from 0 |
    | of the epoch so far, with `update_freq` | `batch_loss` | the model's step, counted from 1 |
    | of validations within an epoch | `batch_val_loss` | the model's step |
    | of `evaluate` | `evaluate_loss` | the model's step |
    | hyperparameters | the run's parameters | when the run begins |
    | the model's summary | the artifact `summary.txt` | when the run begins |

    Needs mlflow: `pip install "treegy[mlflow]"`. A run that is under way (`mlflow.start_run()`) is used and stays open;
    else one is started with the first epoch, and ended in the end: as failed or killed, if training was. A run that
    [`treegy.callbacks.BackupAndRestore`][] resumes continues in its run of MLflow. Signs in names that some logger
    doesn't allow become `_`. What can't be written is warned of, once, and training continues.
    """

    def __init__(self, update_freq: UpdateFreq = "epoch", params: Values | None = None, **start_run: Any):
        """**Arguments:**

        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.
        - `params`: further parameters of the run to log.
        - `**start_run`: for `mlflow.start_run`, such as `run_name`.

        **Raises:** `ImportError` without mlflow.
        """
        super().__init__(update_freq, params)
        self._mlflow = _mlflow()
        self._start_run = start_run
        self.forget()

    @property
    def run(self) -> Any:
        """The run of MLflow, for whatever else is to be written; `None` before training begins and after it."""
        return None if self._run_id is None else self._mlflow.get_run(self._run_id)

    def forget(self) -> None:
        self._run_id: str | None = None
        self._earlier: str | None = None
        self._own = False
        self._written: dict[str, set[int]] = {}

    def start(self) -> None:
        if self._run_id is not None:
            return
        run = self._mlflow.active_run()
        own = run is None
        if own and self._earlier is not None:
            again = {name: value for name, value in self._start_run.items() if name not in _OF_NEW_RUNS}
            run = self._mlflow.start_run(run_id=self._earlier, **again)
        elif own:
            run = self._mlflow.start_run(**self._start_run)
        self._run_id, self._own = run.info.run_id, own

    def describe(self, params: Values, summary: str) -> None:
        self.start()
        if self._run_id == self._earlier:
            return
        plain = plain_params(params)
        names = logged_names(plain)
        there = self._mlflow.get_run(self._run_id).data.params
        self._mlflow.log_params({names[n]: v for n, v in plain.items() if names[n] not in there})
        self._mlflow.log_text(summary, "summary.txt")

    def write(self, values: Mapping[str, float], axis: str, at: int) -> None:
        self._mlflow.log_metrics({n: v for n, v in values.items() if not self._has(n, at)}, step=at)

    def write_histogram(self, name: str, values: PyTree, step: int) -> None:
        counts, edges = np.histogram(values[np.isfinite(values)], _BINS)
        table = {"counts": counts.tolist(), "edges": edges.tolist()}
        self._mlflow.log_dict(table, f"{name}/{step}.json")

    def write_image(self, name: str, image: PyTree, step: int) -> None:
        self._mlflow.log_image(image, key=name, step=step)

    def write_text(self, name: str, text: str, step: int) -> None:
        self._mlflow.log_text(text, f"{name}/{step}.txt")

    def _has(self, name: str, step: int) -> bool:
        """Whether the run has this value from before an interruption."""
        if self._run_id != self._earlier:
            return False
        if name not in self._written:
            history = self._mlflow.MlflowClient().get_metric_history(self._run_id, name)
            self._written[name] = {metric.step for metric in history}
        return step in self._written[name]

    def state(self) -> Values:
        return {"run_id": self._run_id or self._earlier}

    def restore(self, state: Values) -> None:
        self._earlier = state["run_id"]

    def end(self, outcome: str) -> None:
        own, self._own, self._run_id = self._own, False, None
        if own:
            self._mlflow.end_run(_STATUS[outcome])


def _mlflow() -> Any:
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise ImportError('`MLflow` logs with mlflow: pip install "treegy[mlflow]"') from error
