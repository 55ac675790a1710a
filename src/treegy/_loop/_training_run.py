"""`TrainingRun`: what callbacks may know of the `fit` that they are used in."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._data._batch import Batch
from .._steps._model_like import M, ModelLike
from .._types import Verbose
from ._history import History


class TrainingRun(abc.ABC):
    """A `fit` that is under way, as callbacks see it: [`treegy.callbacks.Callback.training_run`][].

    Steps are those that the model has made in all its runs, as `model.states.step` counts them.
    """

    history: History
    """The metric values of the epochs so far: that which `fit` returns."""
    epochs: int
    """Before which epoch training ends, counted from 0."""
    initial_epoch: int
    """With which epoch it began."""
    steps_per_epoch: int | None
    """How many batches an epoch has; `None` where the data doesn't tell."""
    process_start: int
    """The step at which this process began the run, or resumed it."""
    validated: dict[str, Any]
    """The metric values of this epoch's last validation, as `val_...`; none where there was none yet."""

    @property
    @abc.abstractmethod
    def epoch(self) -> int:
        """The epoch that is under way, or the next one."""

    @property
    @abc.abstractmethod
    def step(self) -> int:
        """How many steps the model has made."""

    @property
    @abc.abstractmethod
    def run_start(self) -> int:
        """The step at which the run began, in whichever process."""

    @property
    @abc.abstractmethod
    def batch_size(self) -> int | None:
        """How many examples a batch has; `None` where the batches come as they are."""

    @property
    @abc.abstractmethod
    def has_validation(self) -> bool:
        """Whether there is data to validate on."""

    @property
    @abc.abstractmethod
    def validates_within_epochs(self) -> bool:
        """Whether validations come after so many steps, and not after epochs."""

    @property
    @abc.abstractmethod
    def names(self) -> list[str] | None:
        """The names in the logs of an epoch, without what callbacks add; `None` where only the first step tells."""

    @property
    @abc.abstractmethod
    def adds_to_logs(self) -> bool:
        """Whether a callback that isn't treegy's may add to the logs of an epoch, which all of them see."""

    @property
    @abc.abstractmethod
    def interrupted(self) -> bool:
        """Whether the run stops, or has stopped, where it can resume."""

    @property
    @abc.abstractmethod
    def over(self) -> bool:
        """Whether no further step is made, in this process."""

    @property
    @abc.abstractmethod
    def last_batch(self) -> Batch:
        """The batch of the step that was made last, as long as the next chunk isn't under way."""

    @property
    @abc.abstractmethod
    def model(self) -> ModelLike:
        """The model as it is now, to be looked at within the hook: the next steps may reuse its memory."""

    @abc.abstractmethod
    def to_validate(self, model: M) -> M:
        """Return the model that is validated where this one is trained."""

    @abc.abstractmethod
    def stop_models(self, which: np.ndarray) -> None:
        """Have some models of a stack, `(models,)`, stay as they are now. Their later metric values are NaN."""

    @abc.abstractmethod
    def when_seen(self, call: Callable[[], None]) -> None:
        """Call `call` before the first step, as soon as a batch has been seen."""

    @abc.abstractmethod
    def show(self, verbose: Verbose, names: Sequence[str] | None = None) -> None:
        """Show progress, before training begins: all metric values, or those of some names."""
