"""`BackupAndRestore`: a training that goes on where it was interrupted."""

import os
import warnings
from typing import ClassVar

from .._callback import Callback, Logs
from .._checkpoints import Checkpoints
from .._errors import CheckpointError
from ..loop._backup import document, resume

_KEEP = 2


class BackupAndRestore(Callback):
    """Write everything that a training needs to go on, and go on from it when the same script runs again.

    A backup holds the states of the model, the figures of the epoch so far, the position in it, the state of the other
    callbacks, and the history. What follows is the same, bit for bit, as if nothing had happened: in the middle of an
    epoch too. Arrays, and whatever can tell and set its position (`get_state`, `set_state`, as Grain's iterators),
    simply go on; other iterables are read up to where they were, with a warning.

    Ctrl-C, and what interrupts a training as [`treegy.callbacks.Timer`][] does, leave a backup of that moment. When the
    training ends by itself, backups are removed. The newest one that isn't damaged counts.

    Needs orbax-checkpoint: `pip install "treegy[checkpoint]"`.

    **Raises:** [`treegy.CheckpointError`][] where the directory can't be written into or belongs to another model, or
    another training writes into it.

    !!! example

        ```python
        import treegy as tg

        backup = tg.callbacks.BackupAndRestore("backup", save_freq=1000)
        ```
    """

    comes_last: ClassVar[bool] = True

    def __init__(
        self, directory: str | os.PathLike[str], save_freq: str | int = "epoch", delete_checkpoint: bool = True
    ):
        """**Arguments:**

        - `directory`: where backups are, those of one training.
        - `save_freq`: after each `"epoch"`, or after every so many steps.
        - `delete_checkpoint`: whether backups are removed when the training has ended by itself.

        **Raises:** `ImportError` without orbax-checkpoint.
        """
        self._directory = directory
        self._every = steps_of("save_freq", save_freq)
        self._delete = delete_checkpoint
        self._checkpoints: Checkpoints | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self._checkpoints = Checkpoints(self._directory, keep=_KEEP)
        for step in reversed(self._checkpoints.steps):
            try:
                backup = self._checkpoints.load(step)
            except CheckpointError as error:
                warnings.warn(f"{error}. Going on from the backup before it.", stacklevel=2)
                continue
            resume(self._run, backup)
            return

    def next_step(self, step: int) -> int | None:
        return None if self._every is None else (step // self._every + 1) * self._every

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
        if self._delete and not self._run.interrupted:
            self._checkpoints.delete_all()

    def close(self) -> None:
        checkpoints, self._checkpoints = self._checkpoints, None
        if checkpoints is not None:
            checkpoints.close()

    def _save(self) -> None:
        assert self._checkpoints is not None
        self._checkpoints.save(self._run.step, document(self._run))


def steps_of(name: str, frequency: str | int) -> int | None:
    """`None` for `"epoch"`, or a number of steps."""
    if frequency == "epoch":
        return None
    if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
        raise ValueError(f'`{name}` is {frequency!r}; "epoch" or a number of steps is expected.')
    return frequency
