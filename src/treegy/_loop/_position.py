"""`Position`: where a training run is, saved and restored as one value."""

from typing import NamedTuple


class Position(NamedTuple):
    """How far a run has come. Steps are those that the model has made in all its runs."""

    epoch: int
    """The epoch that is under way, or the next one."""
    done: int
    """How many of its batches have been trained on."""
    step: int
    """How many steps the model has made."""
    epoch_start: int
    """The step at which this epoch began."""
    run_start: int
    """The step at which the run began, in whichever process."""
    pending: int | None = None
    """The step before those whose callbacks haven't all run; `None` where all have."""

    @classmethod
    def at_start(cls, epoch: int, step: int) -> "Position":
        """Return the position of a run that begins with an epoch, at a step of its model."""
        return cls(epoch, 0, step, step, step)

    @property
    def between_epochs(self) -> bool:
        """Whether no batch of the epoch has been trained on yet."""
        return self.done == 0

    def at_epoch_start(self) -> "Position":
        """Return the position when this epoch begins."""
        return self._replace(epoch_start=self.step)

    def after(self, steps: int) -> "Position":
        """Return the position after so many steps, whose callbacks are to be called."""
        pending = self.step if self.pending is None else self.pending
        return self._replace(done=self.done + steps, step=self.step + steps, pending=pending)

    def settled(self) -> "Position":
        """Return the position after the callbacks of the last chunk have run."""
        return self._replace(pending=None)

    def next_epoch(self) -> "Position":
        """Return the position before the next epoch."""
        return self._replace(epoch=self.epoch + 1, done=0)
