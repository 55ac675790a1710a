"""`BackupAndRestore`: a run that resumes where it was interrupted."""

import contextlib
import os
from typing import Any, ClassVar

import numpy as np

from .._checks import flag
from .._errors import CheckpointError
from .._loop._backup import check_began_alike, document, resume
from .._loop._callback import Callback, Logs
from .._loop._every import next_multiple, steps_of
from .._loop._fit import Run
from .._paths import anywhere, is_local
from .._saving._checkpoints import DamagedCheckpoint
from .._saving._documents import RUN
from .._saving._read_checkpoints import steps_in
from .._saving._shared_checkpoints import AnyCheckpoints, open_checkpoints
from .._types import SaveFreq, Values
from .._warn import warn
from ._failures import forgiven

_KEEP = 2

# The directories in which runs of this process have ended: the step at which each began, and with which model.
_ENDED: dict[str, tuple[int, Any]] = {}


class BackupAndRestore(Callback):
    """Write everything that a run needs to resume, and resume from it when the same script runs again.

    A backup holds the states of the model, the metric values of the epoch so far, the position in it, the state of the
    other callbacks, and the history. What follows is the same, bit for bit, as if nothing had happened: in the middle
    of an epoch too. Arrays, and whatever can tell and set its position (`get_state`, `set_state`, as Grain's
    iterators), simply continue; a loader of PyTorch's is given the state that its `generator` had; data with a
    `set_epoch` is told the epoch. These and other iterables are read up to where they were, with a warning. That holds
    for what is validated on, too, if that continues from one validation to the next. What is known to give other
    batches in another process is told when the run begins.

    What is passed to `fit` is to be the same as before, except `epochs`; the keys of orders and of dropout come from
    the backup, whatever the `seed` is now. Each run needs a directory of its own, those that follow each other in one
    script too: else the first would resume from a backup of the second when the script runs again. That is an error
    where the steps at which they began tell them apart. A second run of one process that begins at the same step is
    refused, unless it begins with the very model with which the first began, as the cell of a notebook does that is run
    again.

    Ctrl-C, and what interrupts a run as [`treegy.callbacks.Timer`][] does, leave a backup of that moment. When the
    training ends by itself, backups are removed. The newest one that isn't damaged counts; those after it are replaced.

    **Raises:** [`treegy.CheckpointError`][] where the directory can't be written into or belongs to another model or
    run, or another run writes into it. When the run is over, what can't be written any more is only
    warned of, so that `fit` returns its model.

    !!! example

        ```python
        import treegy as tg

        backup = tg.callbacks.BackupAndRestore("backup", save_freq=1000)
        ```
    """

    comes_last: ClassVar[bool] = True
    holds_model: bool = True

    def __init__(
        self,
        directory: str | os.PathLike[str],
        save_freq: SaveFreq = "epoch",
        delete_checkpoint: bool = True,
        overwrite: bool = False,
    ):
        """**Arguments:**

        - `directory`: where backups are, those of one run; or one of a store such as `gs://bucket/backup`, for which
            `etils.epath` and the package of fsspec for that store have to be installed.
        - `save_freq`: after each `"epoch"`, or after every so many steps.
        - `delete_checkpoint`: whether backups are removed when the run has ended by itself.
        - `overwrite`: whether this run replaces the backups of one that began at another step, or has ended in this
            process, instead of refusing their directory. A script that makes several such runs in one directory can't
            be resumed.
        """
        self._directory = anywhere("directory", directory)
        self._every = steps_of("save_freq", save_freq)
        self._delete = flag("delete_checkpoint", delete_checkpoint)
        self._overwrite = flag("overwrite", overwrite)
        self._checkpoints: AnyCheckpoints | None = None

    def on_train_begin(self, logs: Logs) -> None:
        run = self._of_fit()
        self._built: dict[str, float] | None = None
        self._checkpoints = open_checkpoints(run.strategy, self._directory, keep=_KEEP, kind=RUN)
        there = self._checkpoints.steps
        backup = self._newest(self._checkpoints)
        # What is there and isn't resumed from is replaced by the first backup.
        if self._is_of_another(backup):
            self._checkpoints.go_on_from(-1)
            return
        if backup is not None:
            begins = run.step == backup["position"]["run_start"]
            resume(run, backup, self._directory)
            if begins:
                self._compare_built(backup)
        elif not there and self._path in _ENDED and _ENDED[self._path][0] != run.run_start:
            warn(
                f"a run of this process has ended in '{self._directory}'. If the script is run again after an "
                "interruption, that one will resume from this one's backup: give each a directory of its own.",
            )
        self._checkpoints.go_on_from(run.step)
        run.when_seen(self._tell_what_cannot_resume)

    def _tell_what_cannot_resume(self) -> None:
        """Warn when the run begins, while something can be done about it."""
        told = self._of_fit().source.unresumable
        if told is not None:
            warn(f"{told}. A run that resumes from this backup within an epoch would see other batches, or none.")

    def _newest(self, checkpoints: AnyCheckpoints) -> Values | None:
        """Return the newest backup that isn't damaged, if there is one."""
        there = checkpoints.steps
        for i in reversed(range(len(there))):
            try:
                return checkpoints.load(there[i])
            except DamagedCheckpoint as error:
                instead = (
                    "Resuming from the backup before it"
                    if i
                    else "There is none before it: training begins from scratch"
                )
                warn(f"{error}. {instead}.")
        return None

    def _is_of_another(self, backup: Values | None) -> bool:
        """Whether the directory is that of another run, which is to be replaced.

        **Raises:** [`treegy.CheckpointError`][] if that isn't wanted.
        """
        run = self._of_fit()
        if backup is not None:
            try:
                check_began_alike(run, backup, self._directory)
            except CheckpointError:
                if not self._overwrite:
                    raise
                return True
        start, held = _ENDED.get(self._path, (None, None))
        if run.run_start != start or held is None or run.held() is held():
            return False
        if not self._overwrite:
            raise CheckpointError(
                f"a run of this process has ended in '{self._directory}', and this one begins at step {start}, too, "
                "with another model: when the script runs again after an interruption, the first would resume from a "
                "backup of this one. Give each run a directory of its own, or pass `overwrite=True`."
            )
        return True

    def _compare_built(self, backup: Values) -> None:
        """Warn of learning rates and the like with which the model was built otherwise than when the run began."""
        then, now = backup.get("built"), self._of_fit().built
        if not isinstance(then, dict):
            return
        changed = {n: b for n, b in now.items() if n in then and not np.array_equal(then[n], b)}
        if differ := [f"`{n}` {then[n]!r:.30}, and now {b!r:.30}" for n, b in changed.items()]:
            warn(
                f"the run of the backup in '{self._directory}' began with {', '.join(differ)}: it resumes with what "
                "the backup holds. For another value, remove the backup, or have a callback such as "
                "`LearningRateScheduler` set it."
            )
        # As it began, whatever the model of this process was built with.
        self._built = then

    def next_step(self, step: int) -> int | None:
        return None if self._every is None else next_multiple(step, self._every)

    def on_step_end(self, step: int, logs: Logs) -> None:
        self._save()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._every is None:
            self._save()

    def on_interrupt(self, logs: Logs) -> None:
        # Now: in `on_train_end` others may go back to the best model.
        self._save()

    def on_train_end(self, logs: Logs) -> None:
        assert self._checkpoints is not None
        run = self._of_fit()
        if not run.interrupted:
            _ENDED[self._path] = run.run_start, run.held
            if self._delete:
                with forgiven(run.over):
                    self._checkpoints.delete_all()

    def _after_failure(self) -> str | None:
        with contextlib.suppress(CheckpointError):
            # What is there is whole: it gets its name last.
            for step in reversed(steps_in(self._directory)):
                return f"The backup of step {step} in '{self._directory}' is whole: the same script resumes from it."
        return None

    def close(self) -> None:
        checkpoints, self._checkpoints = self._checkpoints, None
        if checkpoints is not None:
            with forgiven(True):
                checkpoints.close()

    def _save(self) -> None:
        assert self._checkpoints is not None
        run = self._of_fit()
        with forgiven(run.over):
            self._checkpoints.save(run.step, {**document(run), "built": self._built or run.built})

    def _of_fit(self) -> Run:
        """Return the run, more of which is written down than callbacks get to see."""
        run = self.training_run
        assert isinstance(run, Run)
        return run

    @property
    def _path(self) -> str:
        return os.path.realpath(self._directory) if is_local(self._directory) else str(self._directory)
