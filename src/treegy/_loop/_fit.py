"""Epochs: training, validation, callbacks, progress, history.

Long, since a run is one thing: its epochs, in the order in which they happen, and what they need to know.
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .._data._batch import Batch
from .._data._chunk import Chunk
from .._data._iterable_source import BatchSource
from .._data._mistaken_batches import dicts_explained
from .._data._shuffle import key_data_of
from .._data._source import Feed, Source, tell_if_short
from .._steps._assembly import carried_by, carrying
from .._steps._evaluated import evaluated
from .._steps._model_like import ModelLike
from .._steps._prepare import first_states, needs_batch, prepared
from .._terms._logs import Logs
from .._types import PyTree
from .._warn import warn
from ..optimizers._hyperparameters import free_hyperparameters, has_hyperparameters, hyperparameters
from ..optimizers._optimizer import at_epoch
from ._callback_list import CallbackList
from ._chunk_length import ChunkLength, steps_in_chunk
from ._chunks import TEST, TRAIN
from ._engine import Engine
from ._evaluate import evaluate, metric_values
from ._every import ValidationFrequency
from ._history import Fitted, History
from ._interrupt import Interrupt
from ._label_check import check_labels
from ._progress import Progress
from ._rescue import forget, rescue
from ._runtime_errors import as_written

T = TypeVar("T")


class Schedule(NamedTuple):
    """The numbers of a `fit`."""

    epochs: int
    initial_epoch: int
    steps: int | None
    """How many batches an epoch has; `None` for all that the data gives."""
    steps_per_execution: Any
    """How many steps at most one compiled call makes, or `"auto"`."""
    shuffle: bool
    validation_steps: int | None
    validation_freq: ValidationFrequency


def fit(
    model: ModelLike,
    source: Source,
    validation: Source | None,
    class_weight: PyTree,
    schedule: Schedule,
    callbacks: Any,
    verbose: Any,
) -> Fitted[Any]:
    """What [`treegy.Model.fit`][] does once its arguments are understood."""
    try:
        return Run(model, source, validation, class_weight, schedule, callbacks, verbose).all_epochs()
    finally:
        for each in (source, validation):
            if each is not None:
                each.close()


def _within(epoch: int, done: int) -> str:
    return f"This happened in epoch {epoch + 1}, after {done} of its steps."


class Run:
    """A training run: its epochs, and all that is known of them."""

    epoch: int
    """The epoch that is under way, or the next one."""
    done: int
    """How many of its batches have been trained on."""
    begin: int
    """The step at which it began."""
    step: int
    """How many steps the model has made, in all its runs."""
    start: int
    """The step at which the run began, in whichever process."""
    since: int
    """The step at which this process began it, or resumed it."""
    words: Any
    """Key data that seeds the shuffle; `None` when not shuffling."""
    unsettled: int | None
    """The first step of a chunk whose callbacks haven't all run."""
    validated: dict[str, Any]
    """The metric values of the epoch's last validation."""
    ended: bool
    """Whether no further epoch begins."""
    held: weakref.ref[ModelLike]
    """A weak reference to the model that the user holds."""
    built: dict[str, float]
    """The learning rates and the like with which that was built."""

    def __init__(
        self,
        model: ModelLike,
        source: Source,
        validation: Source | None,
        class_weight: PyTree,
        schedule: Schedule,
        callbacks: Any,
        verbose: Any,
    ):
        """**Arguments:**

        - `model`: the one that the user holds, of which nothing may be donated.
        """
        self.schedule = schedule
        self.source = source
        self.validation = validation
        self.epoch, self.done = schedule.initial_epoch, 0
        self.steps_per_epoch = source.batches if schedule.steps is None else schedule.steps
        self._class_weight = class_weight
        self._given: ModelLike | None = model
        self.held = weakref.ref(model)
        self._engine: Engine | None = None
        self._first: Batch | None = None
        self._feed: Feed | None = None
        self._chunk_length: ChunkLength | None = None
        self._when_seen: list[Callable[[], None]] = []
        states = first_states(model) if needs_batch(model, "train") else carried_by(self.engine.model)
        self._validation_frequency = schedule.validation_freq.checked(self.steps_per_epoch)
        self.step = self.begin = self.start = self.since = int(states.get("step", 0))
        self.words = key_data_of(states.rng) if schedule.shuffle else None
        self.unsettled = None
        self.validated = {}
        self.history = History()
        self.ended = False
        self._chunk: Chunk | None = None
        self._logs: dict[str, Any] = {}
        self._part: dict[str, Any] | None = None
        if source.is_peekable:
            # What doesn't fit is said before anybody is called.
            try:
                self._look_at_data()
            except Exception as error:
                error.add_note(_within(self.epoch, 0))
                raise
        self.callback_list = CallbackList(
            callbacks, lambda: self.engine.copy(), lambda model: self.engine.replace(model), self
        )
        try:
            self._every_batch = self.callback_list.listens("on_train_batch_begin", "on_train_batch_end")
            self.show(verbose)
            self._interrupt = Interrupt()
        except BaseException:
            self.callback_list.close()
            raise

    @property
    def engine(self) -> Engine:
        """What runs the steps. Made when it is first asked for, as some models need a batch to be initialized."""
        if self._engine is None:
            given = self._given
            assert given is not None
            first = self._first_batch() if needs_batch(given, "train") else None
            model = prepared(given, "train", first)
            carried = carried_by(model)
            self.built = {n: float(np.asarray(v)) for n, v in free_hyperparameters(carried).items()}
            self._has_hyperparameters = has_hyperparameters(carried)
            begun = carried.get("optimizer_states")
            moved = at_epoch(begun, self.schedule.initial_epoch, self.steps_per_epoch)
            if moved is not begun:
                model = carrying(model, carried.update(optimizer_states=moved))
            self._engine = Engine(model, TRAIN, held=given)
            self._given = None
        return self._engine

    def _first_batch(self) -> Batch:
        if self._first is None:
            self._first = self.source.first()._replace(class_weight=self._class_weight)
        return self._first

    def resume_data(self, state: Any) -> None:
        """Have the data resume from what its `state` returned in an earlier process, when a batch is looked at next."""
        self._first = None
        self.source.resume(state)

    def _look_at_data(self) -> None:
        """Look at the first batches, before the first step: what doesn't fit about them is said now, not later."""
        with dicts_explained(self._first_batch()):
            check_labels(TRAIN, self.engine.model, self._first_batch(), self.source)
            self.engine.see(self._first_batch())
        validation = self.validation
        self._validates = (
            None if validation is None else Engine(evaluated(self.engine.model, "test"), TEST, validation.first()).empty
        )
        self._first = None

    def _get_ready(self) -> None:
        """Get ready for the first step, once it is known where it is."""
        if self._feed is not None:
            return
        if not self.source.is_peekable:
            self._look_at_data()
        self._feed = self.source.feed(self._steps_in_chunk(), self._class_weight)
        self._chunk_length = ChunkLength(self._feed.steps, self._progress.live)
        for call in self._when_seen:
            call()

    def when_seen(self, call: Callable[[], None]) -> None:
        """Call `call` before the first step, as soon as a batch has been seen."""
        if self.source.is_peekable or self._feed is not None:
            call()
        else:
            self._when_seen.append(call)

    def show(self, verbose: Any, names: Sequence[str] | None = None) -> None:
        """Show progress, before training begins: all metric values, or those of some names."""
        epochs, first = self.schedule.epochs, self.schedule.initial_epoch
        self._progress = Progress(verbose, epochs=epochs, initial_epoch=first, names=names)

    def _steps_in_chunk(self) -> int:
        wanted = self.schedule.steps_per_execution
        if self._every_batch or (isinstance(wanted, str) and self.engine.slow_in_loops):
            return 1
        return steps_in_chunk("steps_per_execution", wanted, self.source.bytes_per_batch, self.steps_per_epoch)

    def all_epochs(self) -> Fitted[Any]:
        """Train until the last epoch, or until somebody stops it."""
        callback_list = self.callback_list
        forget()
        with self._interrupt:
            try:
                try:
                    with as_written():
                        self._until_stopped()
                finally:
                    self._progress.close()
                    callback_list.close()
            except BaseException as error:
                between = self.done == 0 and self.epoch > self.schedule.initial_epoch
                error.add_note(
                    f"This happened after epoch {self.epoch}." if between else _within(self.epoch, self.done)
                )
                if self._engine is not None:
                    rescue(error, self._engine.model, self.history, self.step > self.since)
                raise
        return Fitted(self.engine.model, self.history)

    def _until_stopped(self) -> None:
        callback_list = self.callback_list
        callback_list.call("on_train_begin", {})
        while self.epoch < self.schedule.epochs and not self.ended:
            self._one_epoch()
            self._heed_interrupt()
            self.ended = callback_list.stopped is not None
        self.history.stopped = callback_list.interrupted if self.interrupted else callback_list.ended
        if self.interrupted:
            callback_list.call("on_interrupt", self._logs)
        callback_list.call("on_train_end", self._logs)
        if self._part is not None:
            # What was seen of an epoch that has not ended; the callbacks, and so backups, don't know of it.
            self.history.append(self.epoch, self._part)

    @property
    def validates_within_epochs(self) -> bool:
        """Whether validations come after so many steps, and not after epochs."""
        return self._validation_frequency.is_within_epochs

    @property
    def names(self) -> list[str] | None:
        """What the logs of an epoch hold, but for what callbacks add; `None` where only the first step tells."""
        found: list[str] = list(hyperparameters(self.engine.model.states)) if self._has_hyperparameters else []
        for logs, prefix in ((self.engine.empty, ""), (self._validates, "val_")):
            if logs is not None:
                found += [prefix + name for name in jax.eval_shape(Logs.compute, logs)]
            elif not prefix or self.validation is not None:
                return None
        return found

    @property
    def last_batch(self) -> Batch:
        """The batch of the step that was made last, as long as the next chunk isn't under way."""
        assert self._chunk is not None
        batch: Batch = jax.tree.map(jnp.copy, self._chunk.data.at(self._chunk.n - 1))
        return batch

    @property
    def interrupted(self) -> bool:
        """Whether the run stops, or has stopped, where it can resume."""
        callback_list = self.callback_list
        return (
            callback_list.interrupted is not None and callback_list.ended is None and self.epoch < self.schedule.epochs
        )

    @property
    def over(self) -> bool:
        """Whether no further step is made, in this process."""
        return self.callback_list.stopped is not None or self.epoch >= self.schedule.epochs

    def _one_epoch(self) -> None:
        """Run an epoch, or what is left of it: begin, train, validate, record, advance. Ctrl-C may end it anywhere."""
        self._begin()
        self._steps()
        self._heed_interrupt()
        if self.done == 0:
            self._end_without_steps()
            return
        # Waits for the steps, whose time is told.
        self._logs = metric_values(self.engine.logs)
        self._progress.end_steps(self.done)
        if not self._validate_after_epoch():
            self._part = self._logs
            self._progress.end_epoch(self._logs)
            return
        self._record()
        self._advance()

    def _begin(self) -> None:
        if self.done == 0:
            # Else an earlier process was interrupted here, and callbacks were called when that was found.
            self.begin, self.validated = self.step, {}
            self.begin_epoch()
        self._get_ready()
        if self.done == 0:
            self.engine.reset()
        self._progress.begin_epoch(self.epoch, self.steps_per_epoch)

    def _heed_interrupt(self) -> None:
        if self._interrupt.requested:
            self.callback_list.stop("interrupted", interrupt=True)

    def _end_without_steps(self) -> None:
        """End the run: the data has no more batches, unless the interruption came before the first one."""
        if not self.interrupted:
            self.callback_list.stop(self._over(self.epoch))

    def _validate_after_epoch(self) -> bool:
        """Validate, where it is due after this epoch. Returns whether the epoch has ended as a whole."""
        has_all_steps = self.done == self.steps_per_epoch and self.unsettled is None
        if self.interrupted and not has_all_steps:
            return False
        if self._validation_frequency.after_epoch(self.epoch):
            return self._validate()
        return True

    def _record(self) -> None:
        """Write the metric values of the epoch, and of its validation, into the history."""
        logs = {**self._logs, **self.validated}
        if self._has_hyperparameters:
            logs = {**hyperparameters(self.engine.model.states), **logs}
        self._logs = logs
        self.history.append(self.epoch, logs)
        self._progress.end_epoch(logs)

    def _advance(self) -> None:
        """Go to the next epoch, and tell the callbacks that this one has ended."""
        epoch, done = self.epoch, self.done
        data_has_ended = self.schedule.steps is not None and done < self.schedule.steps
        if self.schedule.steps is None and self.callback_list.stopped is None:
            tell_if_short(self.source, done)
        self.epoch, self.done = epoch + 1, 0
        self.source.next_pass()
        self.callback_list.call("on_epoch_end", epoch, self._logs)
        if data_has_ended and self.callback_list.stopped is None:
            self.callback_list.stop(self._over(epoch))

    def begin_epoch(self) -> None:
        """Tell the data and the callbacks which epoch begins, before its first batch is looked at."""
        self.source.begin_epoch(self.epoch)
        self.callback_list.call("on_epoch_begin", self.epoch, {})

    def _steps(self) -> None:
        """The steps of one epoch, or those that are left of it."""
        callback_list, feed, pace = self.callback_list, self._feed, self._chunk_length
        assert feed is not None and pace is not None
        if self.unsettled is not None and not self._settled():
            return
        # Epochs of a length of their own run on through the data, whose first pass began with the run.
        first = self.start if self.source.continues else self.begin
        chunks = feed.epoch(
            words=self.words,
            begin=first,
            before=self.begin - first,
            start=self.done,
            stop=self.schedule.steps,
            most=self._most,
        )
        while (chunk := self._unless_interrupted(lambda: next(chunks, None))) is not None:
            if self._every_batch:
                callback_list.call("on_train_batch_begin", self.done, {})
            seen, self._chunk = self.engine.logs, chunk
            _, marker = self.engine.run(chunk.data, chunk.n)
            chunk.done(marker)
            pace.ran(chunk.n, marker)
            # What is shown is finished: nothing waits for it.
            if self.done:
                self._progress.update(self.done, functools.partial(metric_values, seen))
            self.unsettled = self.step
            self.done += chunk.n
            self.step += chunk.n
            if self._every_batch:
                callback_list.call("on_train_batch_end", self.done - 1, self._metric_values())
            if (
                not self._settled()
                or self._interrupt.requested
                or (callback_list.stopped is not None and callback_list.at_once)
            ):
                break

    def _settled(self) -> bool:
        """What comes after a chunk; `False` if its validation was interrupted, and so all that follows it."""
        before = self.unsettled
        assert before is not None
        due = self._validation_frequency.after_step(self.step, self.done, self.steps_per_epoch)
        if due and not self._validate():
            return False
        self.unsettled = None
        self.callback_list.step_end(before, self.step, self._metric_values)
        self.callback_list.chunk_end(self.step)
        return True

    def _unless_interrupted(self, call: Callable[[], T]) -> T | None:
        """What `call` returns, or `None` if it fails after Ctrl-C: that reaches the processes of a loader as well."""
        try:
            return call()
        except Exception as error:
            if not self._interrupt.requested:
                raise
            told = f"after Ctrl-C, which loaders' processes get too, this failed: {type(error).__name__}: {error}"
            warn(told)
            self.callback_list.stop("interrupted", interrupt=True)
            return None

    def _most(self) -> int:
        """How many steps the next chunk can have before somebody wants to do something."""
        assert self._chunk_length is not None
        until = [
            self._validation_frequency.next_step(self.step, self.done, self.steps_per_epoch),
            self.callback_list.next_step(self.step),
        ]
        return max(1, min([self._chunk_length.steps(), *(step - self.step for step in until if step is not None)]))

    def _metric_values(self) -> dict[str, Any]:
        return metric_values(self.engine.logs)

    def _validate(self) -> bool:
        """Run validation. Returns whether it wasn't interrupted."""
        validation = self.validation
        if validation is None:
            return True
        model = self.callback_list.validated(self.engine.model)
        steps = self.schedule.validation_steps
        try:
            found = self._unless_interrupted(lambda: evaluate(model, validation, None, steps, self.callback_list))
        except BaseException as error:
            error.add_note("This happened while validating.")
            raise
        if found is None:
            return False
        self.validated = {f"val_{name}": value for name, value in found.items()}
        self.history.validations.append((self.step, self.validated))
        return True

    def _over(self, epoch: int) -> str:
        """Say that there are no more batches: the reason for which the run stops."""
        assert isinstance(self.source, BatchSource)
        text = f"the data ended in epoch {epoch + 1} of {self.schedule.epochs}"
        warn(f"{text}: {self.source.over}")
        return text
