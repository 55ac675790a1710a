"""One pass over data: evaluating and predicting."""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .._data._chunk import Chunk
from .._data._mistaken_batches import dicts_explained
from .._data._pass import Pass
from .._data._source import Source, tell_if_short
from .._describe import array_name, path_name
from .._errors import DataError
from .._sharding._exchange import take_leave
from .._sharding._placing import readable
from .._sharding._processes import is_first, is_shared
from .._steps._evaluated import evaluated
from .._steps._model_like import ModelLike
from .._steps._prepare import prepared
from .._steps._runtime_errors import as_written
from .._steps._stacks import size_of_stack
from .._terms._naming import lone_loss
from .._types import Ensemble, KeyPath, PyTree, Values, Verbose
from ._alike_runs import share_data
from ._batch_hooks import steps_with_hooks
from ._callback_list import CallbackList, Callbacks
from ._chunk_length import MOST_STEPS, ChunkLength, steps_in_chunk
from ._engine import Engine
from ._joined_predictions import Pieces, combined_predictions
from ._kinds import PREDICT, TEST
from ._label_check import check_labels
from ._make_engine import make_engine
from ._metric_values import metric_values
from ._progress import Progress


@contextlib.contextmanager
def _alone(
    model: ModelLike, callbacks: Callbacks, verbose: Verbose, title: str
) -> Generator[tuple[CallbackList, Progress]]:
    """Callbacks and progress of a pass outside of `fit`."""
    callback_list = CallbackList(callbacks, lambda: model, strategy=model.strategy)
    progress = Progress(
        verbose, epochs=1, title=title, lone_loss=lone_loss(model.loss), muted=not is_first(model.strategy)
    )
    try:
        with as_written():
            yield callback_list, progress
    except BaseException as error:
        take_leave(model.strategy, error)
        raise
    finally:
        progress.close()
        callback_list.close()


def evaluate_alone(
    model: ModelLike, source: Source, steps: int | None, callbacks: Callbacks, verbose: Verbose
) -> dict[str, Any]:
    """What [`treegy.Model.evaluate`][] does once its arguments are understood."""
    share_data(model.strategy, "`evaluate`", x=source)
    first = source.first()
    ready = evaluated(prepared(model, "test", first), "test")
    if first.class_weight is not None:
        check_labels(TEST, ready, first, source)
    with _alone(model, callbacks, verbose, "evaluate") as (callback_list, progress):
        return evaluate(ready, source, steps, callback_list, progress)


def predict_alone(
    model: ModelLike,
    source: Source,
    steps: int | None,
    callbacks: Callbacks,
    verbose: Verbose,
    ensemble: Ensemble = "all",
) -> PyTree:
    """What [`treegy.Model.predict`][] does once its arguments are understood."""
    share_data(model.strategy, "`predict`", x=source)
    ready = prepared(model, "pred", source.first())
    with _alone(model, callbacks, verbose, "predict") as (callback_list, progress):
        return predict(ready, source, steps, callback_list, progress, ensemble)


def evaluate(
    model: ModelLike,
    source: Source,
    steps: int | None,
    callback_list: CallbackList,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the metric values of a model over the data, or over the first `steps` batches of it.

    **Arguments:**

    - `model`: what `evaluated` returns.
    """
    first = source.first()
    with dicts_explained(first):
        engine = make_engine(model, TEST, first)
    # Within `fit`, callbacks stop the run, and the validation is finished.
    alone = progress is not None
    has_batch_hooks = callback_list.listens("on_test_batch_begin", "on_test_batch_end")
    callback_list.call("on_test_begin", {})
    if progress is not None:
        progress.begin_epoch(0, source.batches if steps is None else steps)
    done = 0

    def begin() -> None:
        callback_list.call("on_test_batch_begin", done, {})

    def end(values: Values) -> None:
        nonlocal done
        done += 1
        callback_list.call("on_test_batch_end", done - 1, dict(values))

    def is_over() -> bool:
        if alone:
            callback_list.agree()
        return alone and callback_list.stopped is not None

    # Several processes can't go by what their clocks say.
    length = ChunkLength(MOST_STEPS, watched=not is_shared(model.strategy))
    one_by_one = callback_list.wants_every_step or (has_batch_hooks and not engine.can_run_ahead)
    # Who has stopped already gets one batch, of which there are metric values.
    for chunk in _chunks(engine, source, steps, one_by_one or is_over()):
        if has_batch_hooks:
            at = 0
            while at < chunk.n and not (at and is_over()):
                n = min(chunk.n - at, length.steps())
                at += steps_with_hooks(engine, chunk.data, at, n, begin, end, is_over)
                length.ran(n, ())
            chunk.done(())
        else:
            _, marker = engine.run(chunk.data, chunk.n)
            chunk.done(marker)
            done += chunk.n
        if progress is not None:
            progress.update(done, lambda: metric_values(engine.logs))
        if is_over():
            break
    logs = metric_values(engine.logs)
    if progress is not None:
        progress.end_epoch(logs)
    callback_list.call("on_test_end", logs)
    return logs


def predict(
    model: ModelLike,
    source: Source,
    steps: int | None,
    callback_list: CallbackList,
    progress: Progress,
    ensemble: Ensemble = "all",
) -> PyTree:
    """What `model` predicts for the data, or for the first `steps` batches of it, put together."""
    stacked_models = size_of_stack(model) is not None
    engine = make_engine(evaluated(model, "pred"), PREDICT, source.first())
    every_batch = callback_list.listens("on_predict_batch_begin", "on_predict_batch_end")
    callback_list.call("on_predict_begin", {})
    progress.begin_epoch(0, source.batches if steps is None else steps)
    done, pieces = 0, Pieces()
    flattened = _flattened_of_stack if stacked_models else _flattened
    for chunk in _chunks(engine, source, steps, every_batch or callback_list.stopped is not None):
        if every_batch:
            callback_list.call("on_predict_batch_begin", done, {})
        stacked, marker = engine.run(chunk.data, chunk.n)
        chunk.done(marker)
        y_pred = jax.tree_util.tree_map_with_path(lambda p, y, c=chunk: flattened(p, y, c), stacked)
        if ensemble != "all":
            y_pred = combined_predictions(y_pred, ensemble)
        pieces.append(y_pred)
        done += chunk.n
        if every_batch:
            callback_list.call("on_predict_batch_end", done - 1, {"outputs": y_pred})
        progress.update(done, dict)
        callback_list.agree()
        if callback_list.stopped is not None:
            break
    progress.end_epoch({})
    callback_list.call("on_predict_end", {})
    joined = readable(pieces.joined(), model.strategy)
    # Put together along the first axis.
    of_all = stacked_models and ensemble == "all"
    return jax.tree.map(lambda y: jnp.moveaxis(y, 1, 0), joined) if of_all else joined


def _chunks(engine: Engine, source: Source, steps: int | None, one_by_one: bool) -> Iterator[Chunk]:
    """Yield the chunks of one pass."""
    done, there_are = 0, source.batches if steps is None else steps
    one = one_by_one or engine.slow_in_loops
    most = 1 if one else steps_in_chunk("steps", "auto", source.bytes_per_batch, there_are)
    for chunk in source.feed(most, engine.strategy).chunks(Pass(stop=steps)):
        yield chunk
        done += chunk.n
    source.next_pass()
    if steps is not None and done < steps:
        raise DataError(f"`steps` is {steps}, and the data ended after {done} batches.")
    if steps is None:
        tell_if_short(source, done)


def _flattened_of_stack(path: KeyPath, y_pred: PyTree, chunk: Chunk) -> PyTree:
    """Predictions `(models, steps, batch, ...)` as `(steps * batch, models, ...)`."""
    return jax.vmap(lambda one: _flattened(path, one, chunk), out_axes=1)(y_pred)


def _flattened(path: KeyPath, y_pred: PyTree, chunk: Chunk) -> PyTree:
    """Stacked predictions `(steps, batch, ...)` one after the other, without the steps that were not run."""
    if y_pred.ndim < 2 or y_pred.shape[1] != chunk.size:
        got = array_name(jax.ShapeDtypeStruct(y_pred.shape[1:], y_pred.dtype))
        raise DataError(
            f"`y_pred{path_name(path)}` is {got} for a batch of {chunk.size}: without an axis of examples in front, "
            "predictions of several batches can't be put together. Use `predict_on_batch`."
        )
    made = y_pred if chunk.n == y_pred.shape[0] else y_pred[: chunk.n]
    return made.reshape(chunk.n * chunk.size, *y_pred.shape[2:])
