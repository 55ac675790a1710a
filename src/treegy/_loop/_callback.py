"""`Callback`: the base class of callbacks."""

import inspect
import os
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from .._describe import cut, describe, did_you_mean
from .._steps._model_like import M, ModelLike
from .._types import Values
from ._training_run import TrainingRun

Logs = Mapping[str, Any]


class Callback:
    """What happens besides training: override the hooks at whose moments something is to be done.

    The names are Keras's. `logs` are Python floats (NumPy arrays where a metric value isn't a scalar) over the epoch so
    far. `next_step` and `on_step_end` are for what happens every so many steps.
    A method that is called `on_...` and is no hook is a `TypeError` where the class is made: it would never be called.

    The hooks of training and test batches are called for some steps at once, after they have been made (about 0.2
    seconds of them), with the logs and the model of each: a clock tells them nothing about a single step, for which
    `every_step` is there. A hook of training batches that asks for the model makes the loop stop there, and some steps
    be made twice: for a look every hundred steps `next_step` is cheaper.

    !!! example

        ```python
        import treegy as tg

        class StopAt(tg.callbacks.Callback):
            def __init__(self, loss: float):
                self.loss = loss

            def on_epoch_end(self, epoch, logs):
                if logs["loss"] < self.loss:
                    self.stop(f"the loss is below {self.loss}")
        ```
    """

    comes_last: ClassVar[bool] = False
    """Whether its hooks are called after those of the other callbacks; else in the order of the list."""
    every_step: ClassVar[bool] = False
    """Whether steps are to be made one at a time, so that its hooks of batches are called right before and after each:
    for a clock, or for something outside that has to happen between two steps. That is slower where steps are small."""
    only_first_process: ClassVar[bool] = False
    """Whether its hooks are called in the first process alone where several train a model together, as those of loggers
    are: for what is to be written or told once. It only looks then: a model that it assigned would be that of one
    process."""
    holds_model: bool = False
    """Whether it writes models, or keeps one, so that what `fit` returns may be thrown away."""

    _current: Callable[[], Any] | None = None
    _replace: Callable[[Any], None] | None = None
    _stop: Callable[[str, bool], None] | None = None
    _run: TrainingRun | None = None
    _silent: bool = False

    _made: str = "()"

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> "Callback":
            new = super().__new__(cls)
            given = [_shown(value) for value in args] + [f"{name}={_shown(value)}" for name, value in kwargs.items()]
            new._made = f"({', '.join(given)})"
            return new

    def __repr__(self) -> str:
        return type(self).__name__ + self._made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            if name.startswith("on_") and name not in HOOKS and callable(getattr(cls, name, None)):
                raise TypeError(no_such_hook(f"`{cls.__name__}.{name}` would never be called", name))
        for name in set(HOOKS) & set(vars(cls)):
            _check_takes(cls, name)

    @property
    def model(self) -> Any:
        """The model as it is now: a copy, which stays valid when training continues.

        Training continues with the model that is assigned: one of the same structure, in which arrays have changed.
        """
        if self._current is None:
            raise AttributeError("a callback has a `model` while `fit`, `evaluate` or `predict` runs.")
        return self._current()

    @model.setter
    def model(self, model: ModelLike) -> None:
        if self._replace is None:
            raise AttributeError("the model of a callback can be replaced while `fit` runs.")
        self._replace(model)

    @property
    def training_run(self) -> TrainingRun:
        """What there is to know of the `fit` that this callback is used in: its epochs, its data, its history."""
        if self._run is None:
            raise AttributeError("a callback has a `training_run` while `fit` runs.")
        return self._run

    def stop(self, reason: str | None = None, interrupt: bool = False) -> None:
        """End the run after this epoch, or sooner if called in a hook of batches or steps.

        **Arguments:**

        - `reason`: what `history.stopped` says; the name of the callback by default.
        - `interrupt`: whether the run is to resume later, as after Ctrl-C: an epoch that is under way isn't
            ended, and [`treegy.callbacks.BackupAndRestore`][] writes a backup and keeps it. If another callback ends
            the run as well, it has ended.
        """
        if self._stop is not None:
            self._stop(reason or type(self).__name__, interrupt)

    def state(self) -> Mapping[str, Any]:
        """Return what the callback has to remember if the run is interrupted and resumes in another process.

        A dict of numbers, strings, arrays, and lists, tuples and dicts of these: `restore` gets what is equal to it,
        NumPy's arrays as NumPy's and with their dtypes. Of other PyTrees, their leaves; anything else is refused.
        Overridden together with `restore`.
        """
        return {}

    def restore(self, state: Values) -> None:
        """Resume from what `state` returned.

        Where a run resumes in the middle of an epoch, it is called before `on_epoch_begin` of that epoch, and after it.
        """

    def next_step(self, step: int) -> int | None:
        """After which step, later than `step`, `on_step_end` is to be called; `None` for never.

        Steps are counted from 1 over all runs of the model, as `model.states.step` does. Compiled calls end
        there, which costs nothing for the steps in between.
        """
        return None

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Called after the step that `next_step` asked for."""

    def to_validate(self, model: M) -> M:
        """Return the model that validation looks at, which is `model` unless this is overridden."""
        return model

    def heartbeat(self, step: int) -> None:
        """Called now and then during an epoch, after each compiled call: the device has been given `step` steps."""

    def close(self) -> None:
        """Called last, whatever has happened, also after an exception: let go of files and the like."""

    def _after_failure(self) -> str | None:
        """Return what to tell whoever sees that the run has failed, if there is anything."""

    def on_train_begin(self, logs: Logs) -> None: ...
    def on_train_end(self, logs: Logs) -> None: ...
    def on_interrupt(self, logs: Logs) -> None:
        """Called when Ctrl-C or `stop(interrupt=True)` has interrupted the run, before `on_train_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before the first batch of an epoch is looked at, so that data can be told the epoch.

        Called again by a process that resumes in the middle of an epoch; what it changes about the model is replaced
        by what the backup holds.
        """

    def on_epoch_end(self, epoch: int, logs: Logs) -> None: ...
    def on_train_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Logs) -> None: ...
    def on_test_begin(self, logs: Logs) -> None: ...
    def on_test_end(self, logs: Logs) -> None: ...
    def on_test_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_test_batch_end(self, batch: int, logs: Logs) -> None: ...
    def on_predict_begin(self, logs: Logs) -> None: ...
    def on_predict_end(self, logs: Logs) -> None: ...
    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_predict_batch_end(self, batch: int, logs: Logs) -> None: ...


def _shown(value: object) -> str:
    """Return a value that a callback was made with, short."""
    return cut(repr(value), 60) if isinstance(value, str | int | float | bool | os.PathLike | None) else describe(value)


def _check_takes(cls: type[Callback], hook: str) -> None:
    """Refuse a hook that can't be called with what hooks are called with."""
    own = vars(cls)[hook]
    if not isinstance(own, FunctionType):
        return
    names = list(inspect.signature(getattr(Callback, hook)).parameters)
    try:
        inspect.signature(own).bind(*names)
    except TypeError as error:
        raise TypeError(
            f"`{cls.__name__}.{hook}{inspect.signature(own)}` can't be called: it gets ({', '.join(names)}). "
            f"Python says: {error}."
        ) from None


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def no_such_hook(what: str, name: str) -> str:
    """Return the message for a hook that there isn't."""
    of_training = name.replace("on_", "on_train_", 1)  # Keras's `on_batch_end` is another name for it
    mend = f" Did you mean `{of_training}`?" if of_training in HOOKS else did_you_mean(name, HOOKS)
    return f"{what}: there is no hook `{name}`.{mend} There are {', '.join(HOOKS)}."
