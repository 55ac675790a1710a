"""`ModelCheckpoint`: models of some moments of a training, kept in a directory."""

import math
import os
from typing import Any

from .._callback import Callback, Logs
from .._checkpoints import Checkpoints, named_arrays
from .._documents import MODEL, VERSIONS
from .._errors import CheckpointError
from ..loop._arguments import optional
from ._backup_and_restore import steps_of
from ._forgiven import forgiven
from ._monitor import Monitor


class ModelCheckpoint(Callback):
    """Keep the model of each epoch, or of every so many steps, or only of the best ones.

    `model.load(path)` reads the newest, which is the best with `save_best_only`; `model.load(path, step=...)` another.
    What is written is what `model.save` writes: parameters, optimizer and all other states. Writing goes on in the
    background while training does, and a checkpoint is there as a whole or not at all.

    Checkpoints are named by the steps of the model, and those of another training aren't touched: one that begins at a
    step before them refuses such a directory. One that goes on from a backup replaces what it had written after that.

    Needs orbax-checkpoint: `pip install "treegy[checkpoint]"`.

    !!! example

        ```python
        import treegy as tg

        best = tg.callbacks.ModelCheckpoint("models", monitor="val_loss", save_best_only=True)
        ```
    """

    holds_model: bool = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        mode: str = "auto",
        save_best_only: bool = False,
        save_freq: str | int = "epoch",
        keep: int | None = None,
        overwrite: bool = False,
    ):
        """**Arguments:**

        - `path`: the directory.
        - `monitor`, `mode`: the figure by which models are better, and how; needed with `save_best_only` only.
        - `save_best_only`: whether only models are kept that are better than all before them, by default one.
        - `save_freq`: after each `"epoch"`, or after every so many steps.
        - `keep`: how many; the last ones, or the best ones. All by default, or one with `save_best_only`.
        - `overwrite`: whether checkpoints of later steps than that at which the training begins are replaced.

        **Raises:** `ImportError` without orbax-checkpoint; in `fit` [`treegy.CheckpointError`][] where the directory
        can't be written into, or would have to be overwritten. When the training is over, what can't be written any
        more is only warned of, so that `fit` returns its model.
        """
        self._path = path
        self._monitor = Monitor(monitor, mode) if save_best_only else None
        self._every = steps_of("save_freq", save_freq)
        self._keep = 1 if keep is None and save_best_only else optional("keep", keep)
        self._overwrite = overwrite
        self._best = 0.0 if self._monitor is None else self._monitor.worst
        self._checkpoints: Checkpoints | None = None

    def on_train_begin(self, logs: Logs) -> None:
        best = None if self._monitor is None else ("min" if self._monitor.worst == math.inf else "max")
        self._checkpoints = Checkpoints(self._path, keep=self._keep, best=best)
        if self._monitor is not None:
            self._best = self._monitor.worst
        self._looked = False

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._look_around()

    def _look_around(self) -> None:
        """See to what is there already, once it is known whether the training goes on from a backup."""
        if self._looked:
            return
        assert self._checkpoints is not None
        self._looked, run = True, self._run
        later = [step for step in self._checkpoints.steps if step > run.since]
        if later and run.since == run.start and not self._overwrite:
            raise CheckpointError(
                f"'{self._path}' holds checkpoints of other trainings, of step {', '.join(map(str, later[-3:]))}, and "
                f"this one begins at step {run.start}. Choose another directory, remove that one, or pass "
                "`overwrite=True`."
            )
        self._checkpoints.go_on_from(run.since)

    def next_step(self, step: int) -> int | None:
        return None if self._every is None else (step // self._every + 1) * self._every

    def on_step_end(self, step: int, logs: Logs) -> None:
        self._look({**logs, **self._run.validated})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._every is None:
            self._look(logs)

    def _look(self, logs: Logs) -> None:
        self._look_around()
        assert self._checkpoints is not None
        figure = None
        if self._monitor is not None:
            figure = self._monitor.read(logs, self._run, type(self).__name__)
            if figure is None or not self._monitor.better(figure, self._best):
                return
            self._best = figure
        states: Any = self.model.states
        document = {"format": MODEL, "version": VERSIONS[MODEL], "states": named_arrays(states)}
        with forgiven(self._run.over):
            self._checkpoints.save(int(states.step), document, figure)

    def state(self) -> dict[str, float]:
        return {"best": self._best}

    def restore(self, state: dict[str, float]) -> None:  # type: ignore[override]
        self._best = state["best"]

    def close(self) -> None:
        checkpoints, self._checkpoints = self._checkpoints, None
        if checkpoints is not None:
            with forgiven(True):
                checkpoints.close()
