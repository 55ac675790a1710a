"""`WandB`: metric values for Weights & Biases."""

import html
import importlib
from typing import Any

from .._paths import local
from .._types import PyTree, UpdateFreq, Values
from ._metric_logger import MetricLogger, plain_params

# As W&B itself tells the end of a process: 255 is that of Ctrl-C.
_EXIT_CODES = {"finished": 0, "interrupted": 255, "failed": 1}


class WandB(MetricLogger):
    """Log metric values to a run of Weights & Biases.

    | what | key | over |
    |---|---|---|
    | metric values of an epoch, those of its validation | `loss`, `val_loss` | `epoch`, counted from 0 |
    | of the epoch so far, with `update_freq` | `batch_loss` | the model's `step`, counted from 1 |
    | of validations within an epoch | `batch_val_loss` | `step` |
    | of `evaluate` | `evaluate_loss` | `step` |
    | hyperparameters | the run's `config` | when the run begins |
    | the model's summary | `summary` | when the run begins |

    Needs wandb: `pip install "treegy[wandb]"`. A run that is under way (`wandb.init(...)`) is used and stays open;
    else one is made with the first epoch, and finished in the end: as failed or interrupted, if training was. A run
    that [`treegy.callbacks.BackupAndRestore`][] resumes continues in its run of W&B, in which the values of steps that
    are made again are there twice, the same both times. Signs in names that some logger doesn't allow become `_`. What
    can't be written is warned of, once, and training continues.
    """

    def __init__(self, update_freq: UpdateFreq = "epoch", params: Values | None = None, **init: Any):
        """**Arguments:**

        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.
        - `params`: further hyperparameters, for the run's `config`.
        - `**init`: for `wandb.init`, such as `project`, `config` and `mode="offline"`.

        **Raises:** `ImportError` without wandb.
        """
        super().__init__(update_freq, params)
        self._wandb = _wandb()
        if init.get("dir") is not None:
            init["dir"] = str(local("dir", init["dir"]))
        self._init = init
        self.forget()

    @property
    def run(self) -> Any:
        """The run of W&B, for whatever else is to be written; `None` before training begins and after it."""
        return self._logged

    def forget(self) -> None:
        self._logged: Any = None
        self._earlier: str | None = None
        self._own = False
        self._axes: set[str] = set()

    def start(self) -> None:
        if self._logged is not None:
            return
        again = {} if self._earlier is None else {"id": self._earlier, "resume": "allow"}
        if self._wandb.run is None:
            self._logged, self._own = self._wandb.init(**{**self._init, **again}), True
        else:
            self._logged, self._own = self._wandb.run, False

    def describe(self, params: Values, summary: str) -> None:
        self.start()
        # What was given to `wandb.init` counts, and what an earlier process has written.
        there = dict(self._logged.config)
        self._logged.config.update({n: v for n, v in plain_params(params).items() if n not in there})
        if self._earlier is None:
            self.write_text("summary", summary, self.training_run.step)

    def write(self, values: Values, axis: str, at: int) -> None:
        for name in values:
            if name not in self._axes:
                # Each for itself: what a name begins with says nothing.
                self._logged.define_metric(name, step_metric=axis)
                self._axes.add(name)
        self._logged.log({**values, axis: at})

    def write_histogram(self, name: str, values: PyTree, step: int) -> None:
        self.write({name: self._wandb.Histogram(values)}, "step", step)

    def write_image(self, name: str, image: PyTree, step: int) -> None:
        self.write({name: self._wandb.Image(image[..., 0] if image.shape[-1] == 1 else image)}, "step", step)

    def write_text(self, name: str, text: str, step: int) -> None:
        self.write({name: self._wandb.Html(f"<pre>{html.escape(text)}</pre>", inject=False)}, "step", step)

    def state(self) -> Values:
        return {"id": self._earlier if self._logged is None else self._logged.id}

    def restore(self, state: Values) -> None:
        self._earlier = state["id"]

    def end(self, outcome: str) -> None:
        logged, self._logged = self._logged, None
        if self._own and logged is not None:
            self._own = False
            logged.finish(exit_code=_EXIT_CODES[outcome])


def _wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise ImportError('`WandB` logs with wandb: pip install "treegy[wandb]"') from error
