"""Epochs: training, validation, callbacks, progress, history."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ..data._arrays import Arrays
from ..data._feed import Feed
from ..data._order import key_words, order
from ._arguments import is_due
from ._chunks import TEST, TRAIN, Engine
from ._evaluate import evaluate, figures
from ._history import History
from ._hooks import Hooks
from ._pace import Pace
from ._progress import Progress

# Up to so many examples the order of an epoch is computed at once.
_WHOLE = 4_000_000


_words = jax.jit(key_words)


class Schedule(NamedTuple):
    """The numbers of a `fit`."""

    batch_size: int
    epochs: int
    initial_epoch: int
    steps: int
    """How many batches an epoch has."""
    steps_in_chunk: int
    """How many steps at most one compiled call makes."""
    steps_are_free: bool
    """Whether it may be fewer, if that is faster."""
    shuffle: bool
    remainder: bool
    validation_batch_size: int
    validation_steps: int | None
    validation_every: int | frozenset[int]
    validation_steps_in_chunk: int


def fit(
    model: Any,
    held: Any,
    data: Arrays,
    validation: Arrays | None,
    class_weight: Any,
    schedule: Schedule,
    callbacks: Any,
    verbose: Any,
) -> tuple[Any, History]:
    """Train `model`, which has been initialized, for the epochs of `schedule`.

    **Arguments:**

    - `held`: the model that the user holds, of which nothing may be donated.
    """
    first = data.first(schedule.batch_size)._replace(class_weight=class_weight)
    engine = Engine(model, TRAIN, first, held)
    if validation is not None:
        # What doesn't fit about it is said before the first epoch, not after.
        Engine(model, TEST, validation.first(schedule.validation_batch_size))
    hooks = Hooks(callbacks, engine.copy)
    every_batch = hooks.listens("on_train_batch_begin", "on_train_batch_end")
    one = every_batch or (schedule.steps_are_free and engine.slow_in_loops)
    feed = Feed(data, schedule.batch_size, 1 if one else schedule.steps_in_chunk, class_weight)
    words = np.asarray(_words(model.states.rng)) if schedule.shuffle else None
    step = int(model.states.step)
    history = History()
    progress = Progress(verbose, epochs=schedule.epochs, initial_epoch=schedule.initial_epoch)
    pace = Pace(feed.steps, progress.live)
    logs: dict[str, Any] = {}
    try:
        hooks.call("on_train_begin", {})
        for epoch in range(schedule.initial_epoch, schedule.epochs):
            engine.reset()
            hooks.call("on_epoch_begin", epoch, {})
            progress.begin_epoch(epoch, schedule.steps)
            _epoch(engine, feed, data.length, schedule, hooks, progress, pace, words, step, every_batch)
            step += schedule.steps
            logs = figures(engine.logs)
            progress.end_steps()
            if validation is not None and is_due(schedule.validation_every, epoch):
                found = evaluate(
                    engine.model,
                    validation,
                    None,
                    schedule.validation_batch_size,
                    schedule.validation_steps,
                    schedule.validation_steps_in_chunk,
                    hooks,
                )
                logs.update({f"val_{name}": value for name, value in found.items()})
            history.append(epoch, logs)
            progress.end_epoch(logs)
            hooks.call("on_epoch_end", epoch, logs)
            if hooks.stopped is not None:
                break
        history.stopped = hooks.stopped
        hooks.call("on_train_end", logs)
    finally:
        progress.close()
        hooks.close()
    return engine.model, history


def _epoch(
    engine: Engine,
    feed: Feed,
    length: int,
    schedule: Schedule,
    hooks: Hooks,
    progress: Progress,
    pace: Pace,
    words: Any,
    step: int,
    every_batch: bool,
) -> None:
    """Run the chunks of one epoch, which begins at `step`."""

    # Asking for positions costs about as much for a chunk as for a whole epoch, unless that is very long.
    whole = order(words, step, length, 0, length, np) if schedule.shuffle and length <= _WHOLE else None

    def shuffled(start: int, size: int) -> Any:
        return order(words, step, length, start, size, np) if whole is None else whole[start : start + size]

    done = 0
    for chunk in feed.epoch(
        shuffled if schedule.shuffle else None,
        stop=schedule.steps,
        remainder=schedule.remainder,
        most=pace.steps,
    ):
        if every_batch:
            hooks.call("on_train_batch_begin", done, {})
        _, marker = engine.run(chunk.data, chunk.n)
        chunk.done(marker)
        done += chunk.n
        if every_batch:
            hooks.call("on_train_batch_end", done - 1, figures(engine.logs))
            if hooks.stopped is not None:
                break
        progress.update(done, pace.looking(lambda: figures(engine.logs), done))
