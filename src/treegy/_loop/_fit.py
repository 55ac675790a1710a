"""Epochs: training, validation, callbacks, progress, history.

Long, since a run is one thing: its epochs, in the order in which they happen, and what they need to know.
"""

import functools
import math
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt32

from .._data._array_source import ArraySource
from .._data._batch import Batch
from .._data._chunk import Chunk
from .._data._iterable_source import BatchSource
from .._data._mistaken_batches import dicts_explained
from .._data._pass import Pass
from .._data._shuffle import key_data_of
from .._data._source import Feed, tell_if_short
from .._errors import ProcessError
from .._sharding._exchange import begun, take_leave
from .._sharding._processes import is_first, is_shared
from .._sharding._strategy import Strategy
from .._steps._assembly import carried_by, carrying
from .._steps._evaluated import evaluated
from .._steps._model_like import M, ModelLike
from .._steps._prepare import first_states, needs_batch, prepared
from .._steps._runtime_errors import as_written
from .._steps._stacks import root_of, step_of
from .._terms._logs import StepLogs
from .._terms._naming import lone_loss
from .._types import Values, Verbose
from .._warn import warn
from ..optimizers._hyperparameters import free_hyperparameters, has_hyperparameters, hyperparameters
from ..optimizers._optimizer import at_epoch
from ._alike_runs import check_calls_alike, refuse_alone, share_data
from ._batch_hooks import steps_with_hooks
from ._callback_list import CallbackList
from ._chunk_length import ChunkLength, steps_in_chunk
from ._engine import Engine
from ._evaluate import evaluate
from ._fit_arguments import FitArguments
from ._history import Fitted, History
from ._interrupt import Interrupt
from ._kinds import TEST, TRAIN
from ._label_check import check_labels
from ._make_engine import make_engine
from ._metric_values import metric_values, shown
from ._position import Position
from ._progress import Progress
from ._rescue import forget, rescue
from ._stopped_models import StoppedModels
from ._training_run import TrainingRun

T = TypeVar("T")


def fit(model: ModelLike, arguments: FitArguments) -> Fitted[Any]:
    """What [`treegy.Model.fit`][] does once its arguments are understood."""
    try:
        return Run(model, arguments).all_epochs()
    finally:
        for source in (arguments.source, arguments.validation):
            if source is not None:
                source.close()


def _within(position: Position) -> str:
    step = "before its first step had ended" if position.done == 0 else f"after {position.done} of its steps"
    return f"This happened in epoch {position.epoch + 1}, {step}."


class Run(TrainingRun):
    """A training run: its epochs, and all that is known of them."""

    position: Position
    """Where it is. Replaced, never changed."""
    key_data: UInt32[np.ndarray, "2"] | None
    """What seeds the permutations of the data; `None` without shuffling."""
    ended: bool
    """Whether no further epoch begins."""
    held: weakref.ref[ModelLike]
    """A weak reference to the model that the user holds."""
    strategy: Strategy | None
    """That of the model: over which devices, and so processes, it is distributed."""
    built: dict[str, Any]
    """The learning rates and the like with which that was built."""

    def __init__(self, model: ModelLike, arguments: FitArguments):
        """**Arguments:**

        - `model`: the one that the user holds, of which nothing may be donated.
        """
        self.arguments = arguments
        self.source, self.validation = arguments.source, arguments.validation
        self.epochs, self.initial_epoch = arguments.epochs, arguments.initial_epoch
        self.strategy = model.strategy
        self._lone_loss = lone_loss(model.loss)
        refuse_alone(self.strategy)
        share_data(self.strategy, "`fit`", x=self.source, validation_data=self.validation)
        self.steps_per_epoch = self.source.batches if arguments.steps_per_epoch is None else arguments.steps_per_epoch
        self._given: ModelLike | None = model
        self.held = weakref.ref(model)
        self._engine: Engine | None = None
        self._first: Batch | None = None
        self._feed: Feed | None = None
        self._chunk_length: ChunkLength | None = None
        self._steps_agreed: int | None = None
        self._waiting: Callable[[], list[Any]] | None = None
        self._when_seen: list[Callable[[], None]] = []
        states = first_states(model) if needs_batch(model, "train") else carried_by(self.engine.model)
        check_calls_alike(self.strategy, arguments, states.get("rng"))
        self._validation_frequency = arguments.validation_freq.checked(self.steps_per_epoch)
        self.position = Position.at_start(self.initial_epoch, step_of(states))
        self.process_start = self.step
        # One order for all models of a stack.
        self.key_data = key_data_of(root_of(states)) if arguments.shuffle else None
        self.validated = {}
        self.history = History()
        self._epoch_began = math.nan
        self.ended = False
        self.stopped_models = StoppedModels()
        self._chunk: Chunk | None = None
        self._of_chunk = 0
        self._logs: dict[str, Any] = {}
        self._part: dict[str, Any] | None = None
        if self.source.is_peekable:
            # What doesn't fit is said before anybody is called.
            try:
                self._look_at_data()
            except Exception as error:
                error.add_note(_within(self.position))
                raise
        self.callback_list = CallbackList(
            arguments.callbacks,
            self._copy_of_model,
            lambda model: self.engine.replace(model),
            self,
            self.strategy,
        )
        try:
            self._has_batch_hooks = self.callback_list.listens("on_train_batch_begin", "on_train_batch_end")
            self.show(arguments.verbose)
            self._interrupt = Interrupt(is_shared(self.strategy))
        except BaseException:
            self.callback_list.close()
            raise

    # What callbacks may know of it

    @property
    def epoch(self) -> int:
        return self.position.epoch

    @property
    def step(self) -> int:
        return self.position.step

    @property
    def run_start(self) -> int:
        return self.position.run_start

    @property
    def batch_size(self) -> int | None:
        return self.source.batch_size if isinstance(self.source, ArraySource) else None

    @property
    def has_validation(self) -> bool:
        return self.validation is not None

    @property
    def validates_within_epochs(self) -> bool:
        return self._validation_frequency.is_within_epochs

    @property
    def names(self) -> list[str] | None:
        found: list[str] = list(hyperparameters(self.engine.model.states)) if self._has_hyperparameters else []
        for logs, prefix in ((self.engine.empty, ""), (self._validates, "val_")):
            if logs is not None:
                found += [prefix + name for name in jax.eval_shape(StepLogs.compute, logs)]
            elif not prefix or self.validation is not None:
                return None
        return found

    @property
    def adds_to_logs(self) -> bool:
        return self.callback_list.adds_to_logs

    @property
    def interrupted(self) -> bool:
        callback_list = self.callback_list
        return callback_list.interrupted is not None and callback_list.ended is None and self.epoch < self.epochs

    @property
    def over(self) -> bool:
        return self.callback_list.stopped is not None or self.epoch >= self.epochs

    @property
    def last_batch(self) -> Batch:
        assert self._chunk is not None
        batch: Batch = jax.tree.map(jnp.copy, self._chunk.data.at(self._of_chunk - 1))
        return batch

    @property
    def model(self) -> ModelLike:
        self.stopped_models.put_back(self.engine)
        return self.engine.model

    def to_validate(self, model: M) -> M:
        return self.callback_list.validated(model)

    def when_seen(self, call: Callable[[], None]) -> None:
        if self.source.is_peekable or self._feed is not None:
            call()
        else:
            self._when_seen.append(call)

    def stop_models(self, which: np.ndarray) -> None:
        if self.stopped_models.stop(which, self.engine):
            self.callback_list.stop("every model of the stack has stopped")

    def _copy_of_model(self) -> ModelLike:
        self.stopped_models.put_back(self.engine)
        return self.engine.copy()

    def show(self, verbose: Verbose, names: Sequence[str] | None = None) -> None:
        self._progress = Progress(
            verbose,
            epochs=self.epochs,
            initial_epoch=self.initial_epoch,
            names=names,
            lone_loss=self._lone_loss,
            muted=not is_first(self.strategy),
        )

    def tell(self, text: str) -> None:
        """Show a line before the first epoch, unless nothing is shown."""
        self._progress.tell(text)

    # Getting ready

    @property
    def engine(self) -> Engine:
        """What runs the steps. Made when it is first asked for, as some models need a batch to be initialized."""
        if self._engine is None:
            given = self._given
            assert given is not None
            first = self._first_batch() if needs_batch(given, "train") else None
            model = prepared(given, "train", first)
            carried = carried_by(model)
            self._has_hyperparameters = has_hyperparameters(carried)
            free = free_hyperparameters(carried) if self._has_hyperparameters else {}
            self.built = {n: shown(np.asarray(v)) for n, v in free.items()}
            before = carried.get("optimizer_states")
            moved = at_epoch(before, self.initial_epoch, self.steps_per_epoch)
            if moved is not before:
                model = carrying(model, carried.update(optimizer_states=moved))
            self._engine = make_engine(model, TRAIN, held=given)
            self._given = None
        return self._engine

    def _first_batch(self) -> Batch:
        if self._first is None:
            self._first = self.source.first()
        return self._first

    def resume_data(self, state: Values) -> None:
        """Have the data resume from what its `state` returned in an earlier process, when a batch is looked at next."""
        self._first = None
        self.source.resume(state)

    def _look_at_data(self) -> None:
        """Look at the first batches, before the first step: what doesn't fit about them is said now, not later."""
        first = self._first_batch()
        with dicts_explained(first):
            if first.class_weight is not None:
                check_labels(TRAIN, self.engine.model, first, self.source)
            self.engine.see(first)
        validation = self.validation
        self._validates = (
            None
            if validation is None
            else make_engine(evaluated(self.engine.model, "test"), TEST, validation.first()).empty
        )
        self._first = None

    def _get_ready(self) -> None:
        """Get ready for the first step, once it is known where it is."""
        if self._feed is not None:
            return
        if not self.source.is_peekable:
            self._look_at_data()
        self._feed = self.source.feed(self._steps_in_chunk(), self.engine.strategy)
        # Hooks that are called for steps ahead of them aren't to be called much later.
        self._chunk_length = ChunkLength(self._feed.steps, self._progress.live or self._has_batch_hooks)
        self._agree()
        for call in self._when_seen:
            call()

    def _agree(self, ahead: bool = False) -> None:
        """Tell the other processes whether to stop, and how long chunks are to be, and do what all of them say.

        **Arguments:**

        - `ahead`: whether only what was said before is heard, and what is said now the next time: the device needn't
            have finished then what it was given in between.
        """
        if not is_shared(self.strategy):
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._hear(waiting())
        steps = None if self._chunk_length is None else self._chunk_length.steps()
        said = [self.callback_list.take_wishes(), self._interrupt.noted, steps]
        self._waiting = begun(self.strategy, f"step {self.step} of `fit`", said)
        if not ahead:
            waiting, self._waiting = self._waiting, None
            self._hear(waiting())

    def _hear(self, told: list[Any]) -> None:
        for wishes, interrupted, _ in told:
            self.callback_list.heed(wishes)
            self._interrupt.requested = self._interrupt.requested or interrupted
        self._steps_agreed = told[0][2]

    def _steps_in_chunk(self) -> int:
        wanted = self.arguments.steps_per_execution
        if self.callback_list.wants_every_step or (self._has_batch_hooks and not self.engine.can_run_ahead):
            return 1
        if isinstance(wanted, str) and self.engine.slow_in_loops:
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
                take_leave(self.strategy, error)
                between = self.position.between_epochs and self.epoch > self.initial_epoch
                error.add_note(f"This happened after epoch {self.epoch}." if between else _within(self.position))
                for told in callback_list.after_failure() if isinstance(error, ProcessError) else ():
                    error.add_note(told)
                # Of a step that others don't take part in, there will be no results to wait for.
                if self._engine is not None and not isinstance(error, ProcessError):
                    rescue(error, lambda: self.engine.model, self.history, self.step > self.process_start)
                raise
        return Fitted(self.engine.model, self.history)

    def _until_stopped(self) -> None:
        callback_list = self.callback_list
        callback_list.call("on_train_begin", {})
        while self.epoch < self.epochs and not self.ended:
            self._one_epoch()
            self._heed_interrupt()
            self.ended = callback_list.stopped is not None
        self.history.stopped = callback_list.interrupted if self.interrupted else callback_list.ended
        if self.interrupted:
            callback_list.call("on_interrupt", self._logs)
        callback_list.call("on_train_end", self._logs)
        if self._part is not None:
            # What was seen of an epoch that has not ended; the callbacks, and so backups, don't know of it.
            self.history.append(self.epoch, self._part, time.perf_counter() - self._epoch_began)

    def _one_epoch(self) -> None:
        """Run an epoch, or what is left of it: begin, train, validate, record, advance. Ctrl-C may end it anywhere."""
        self._begin()
        self._steps()
        self._heed_interrupt()
        if self.position.between_epochs:
            self._end_without_steps()
            return
        self.stopped_models.put_back(self.engine)
        # Waits for the steps, whose time is told.
        self._logs = metric_values(self.engine.logs)
        self._progress.end_steps(self.position.done)
        if not self._validate_after_epoch():
            self._part = self._logs
            self._progress.end_epoch(self._logs)
            return
        self._record()
        self._advance()

    def _begin(self) -> None:
        self._epoch_began = time.perf_counter()
        # Else an earlier process was interrupted here, and callbacks were called when that was found.
        from_start = self.position.between_epochs
        if from_start:
            self.position, self.validated = self.position.at_epoch_start(), {}
            self.begin_epoch()
        self._get_ready()
        if from_start:
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
        has_all_steps = self.position.done == self.steps_per_epoch and self.position.pending is None
        if self.interrupted and not has_all_steps:
            return False
        if self._validation_frequency.after_epoch(self.epoch):
            return self._validate()
        return True

    def _record(self) -> None:
        """Write the metric values of the epoch, and of its validation, into the history."""
        logs = self.stopped_models.without_them({**self._logs, **self.validated})
        if self._has_hyperparameters:
            logs = {**hyperparameters(self.engine.model.states), **logs}
        self._logs = logs
        self.history.append(self.epoch, logs, time.perf_counter() - self._epoch_began)
        self._progress.end_epoch(logs)

    def _advance(self) -> None:
        """Go to the next epoch, and tell the callbacks that this one has ended."""
        epoch, done, steps = self.position.epoch, self.position.done, self.arguments.steps_per_epoch
        data_has_ended = steps is not None and done < steps
        if steps is None and self.callback_list.stopped is None:
            tell_if_short(self.source, done)
        self.position = self.position.next_epoch()
        self.source.next_pass()
        self.callback_list.call("on_epoch_end", epoch, self._logs)
        self._agree()
        if data_has_ended and self.callback_list.stopped is None:
            self.callback_list.stop(self._over(epoch))

    def begin_epoch(self) -> None:
        """Tell the data and the callbacks which epoch begins, before its first batch is looked at."""
        self.source.begin_epoch(self.epoch)
        self.callback_list.call("on_epoch_begin", self.epoch, {})

    def _steps(self) -> None:
        """The steps of one epoch, or those that are left of it."""
        feed = self._feed
        assert feed is not None
        if self.position.pending is not None and not self._settle():
            return
        # Epochs of a length of their own run on through the data, whose first pass began with the run.
        first = self.position.run_start if self.source.continues else self.position.epoch_start
        within = Pass(
            self.key_data,
            first_step=first,
            taken=self.position.epoch_start - first,
            skip=self.position.done,
            stop=self.arguments.steps_per_epoch,
            room=self._room,
        )
        chunks = feed.chunks(within)
        while (chunk := self._unless_interrupted(lambda: next(chunks, None))) is not None:
            run = self._run_with_hooks if self._has_batch_hooks else self._run_chunk
            if not run(chunk):
                break
        self._agree()

    def _run_chunk(self, chunk: Chunk) -> bool:
        """Run the steps of a chunk. Returns whether others may follow."""
        assert self._chunk_length is not None
        seen, self._chunk = self.engine.logs, chunk
        _, marker = self.engine.run(chunk.data, chunk.n)
        chunk.done(marker)
        self._chunk_length.ran(chunk.n, marker)
        # What is shown is finished: nothing waits for it.
        if not self.position.between_epochs:
            self._progress.update(self.position.done, functools.partial(metric_values, seen))
        self.position, self._of_chunk = self.position.after(chunk.n), chunk.n
        return self._settle() and not self._stops_now()

    def _run_with_hooks(self, chunk: Chunk) -> bool:
        """Run the steps of a chunk, and call the hooks of batches for each. Returns whether others may follow."""
        assert self._chunk_length is not None
        callback_list, engine, self._chunk, self._of_chunk = self.callback_list, self.engine, chunk, 0
        logs: Values = {}

        def begin() -> None:
            callback_list.call("on_train_batch_begin", self.position.done, {})

        def end(values: Values) -> None:
            nonlocal logs
            logs = values
            self.position, self._of_chunk = self.position.after(1), self._of_chunk + 1
            callback_list.call("on_train_batch_end", self.position.done - 1, dict(values))

        def is_over() -> bool:
            # Somebody may want this step by now who didn't when the chunk began.
            assert self.position.pending is not None
            wanted = callback_list.next_step(self.position.pending)
            self._agree()
            return self._stops_now() or (wanted is not None and wanted <= self.step)

        while self._of_chunk < chunk.n:
            n = min(chunk.n - self._of_chunk, self._room())
            made = steps_with_hooks(engine, chunk.data, self._of_chunk, n, begin, end, is_over)
            self._chunk_length.ran(made, ())
            if engine.looked_at:
                self._chunk_length.be_short()
            self._progress.update(self.position.done, functools.partial(dict, logs))
            if not self._settle() or self._stops_now():
                return False
        # Its values have been read, and so its data.
        chunk.done(())
        return True

    def _stops_now(self) -> bool:
        return self._interrupt.requested or (self.callback_list.stopped is not None and self.callback_list.at_once)

    def _settle(self) -> bool:
        """Validate and call callbacks after a chunk, as far as that is due. Returns whether it wasn't interrupted."""
        before = self.position.pending
        assert before is not None
        if self._validation_frequency.after_step(self.step, self.position.done, self.steps_per_epoch):
            if not self._validate():
                return False
        self.position = self.position.settled()
        looked = self.callback_list.step_end(before, self.step, self._metric_values)
        self.callback_list.chunk_end(self.step)
        if looked:
            # They have waited for the device anyway, and stop at the step that they have seen.
            self._agree()
        return True

    def _unless_interrupted(self, call: Callable[[], T]) -> T | None:
        """What `call` returns, or `None` if it fails after Ctrl-C: that reaches the processes of a loader as well."""
        try:
            return call()
        except Exception as error:
            if not self._interrupt.noted:
                raise
            told = f"after Ctrl-C, which loaders' processes get too, this failed: {type(error).__name__}: {error}"
            warn(told)
            self.callback_list.stop("interrupted", interrupt=True)
            return None

    def _room(self) -> int:
        """Return how many steps the next chunk can have before somebody wants to do something."""
        assert self._chunk_length is not None
        self._agree(ahead=True)
        steps = self._chunk_length.steps() if self._steps_agreed is None else self._steps_agreed
        until = [
            self._validation_frequency.next_step(self.step, self.position.done, self.steps_per_epoch),
            self.callback_list.next_step(self.step),
        ]
        return max(1, min([steps, *(step - self.step for step in until if step is not None)]))

    def _metric_values(self) -> dict[str, Any]:
        return metric_values(self.engine.logs)

    def _validate(self) -> bool:
        """Run validation. Returns whether it wasn't interrupted."""
        validation = self.validation
        if validation is None:
            return True
        model = evaluated(self.callback_list.validated(self.model), "test")
        steps = self.arguments.validation_steps
        try:
            found = self._unless_interrupted(lambda: evaluate(model, validation, steps, self.callback_list))
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
        text = f"the data ended in epoch {epoch + 1} of {self.epochs}"
        warn(f"{text}: {self.source.over}")
        return text
