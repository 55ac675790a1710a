"""One pass over data: evaluating and predicting."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._accumulator import compute_all
from .._describe import array_name, path_name
from .._driver import Logs
from .._errors import DataError
from ..data._arrays import Arrays, batches_in
from ..data._feed import Feed
from ._chunks import PREDICT, TEST, Engine
from ._hooks import Hooks
from ._progress import Progress

_computed = jax.jit(compute_all)


def figures(logs: Logs) -> dict[str, Any]:
    """Logs as Python floats, NumPy arrays where a figure isn't a scalar. Waits for the device."""
    computed = {name: np.asarray(value) for name, value in _computed(logs).items()}
    return {name: float(v) if v.ndim == 0 else v for name, v in computed.items()}


def evaluate(
    model: Any,
    data: Arrays,
    class_weight: Any,
    batch_size: int,
    steps: int | None,
    steps_in_chunk: int,
    hooks: Hooks,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures of `model` over `data`, or over the first `steps` batches of it."""
    first = data.first(batch_size)._replace(class_weight=class_weight)
    engine = Engine(model, TEST, first)
    every_batch = hooks.listens("on_test_batch_begin", "on_test_batch_end")
    hooks.call("on_test_begin", {})
    if progress is not None:
        progress.begin_epoch(0, batches_in(data.length, batch_size) if steps is None else steps)
    done = 0
    feed = Feed(data, batch_size, 1 if every_batch or engine.slow_in_loops else steps_in_chunk, class_weight)
    for chunk in feed.epoch(stop=steps):
        if every_batch:
            hooks.call("on_test_batch_begin", done, {})
        _, marker = engine.run(chunk.data, chunk.n)
        chunk.done(marker)
        done += chunk.n
        if every_batch:
            hooks.call("on_test_batch_end", done - 1, figures(engine.logs))
        if progress is not None:
            progress.update(done, lambda: figures(engine.logs))
    logs = figures(engine.logs)
    if progress is not None:
        progress.end_epoch(logs)
    hooks.call("on_test_end", logs)
    return logs


def predict(
    model: Any,
    data: Arrays,
    batch_size: int,
    steps: int | None,
    steps_in_chunk: int,
    hooks: Hooks,
    progress: Progress,
) -> Any:
    """What `model` predicts for `data`, or for the first `steps` batches of it, put together."""
    engine = Engine(model, PREDICT, data.first(batch_size))
    every_batch = hooks.listens("on_predict_batch_begin", "on_predict_batch_end")
    hooks.call("on_predict_begin", {})
    progress.begin_epoch(0, batches_in(data.length, batch_size) if steps is None else steps)
    done, pieces = 0, []
    feed = Feed(data, batch_size, 1 if every_batch or engine.slow_in_loops else steps_in_chunk)
    for chunk in feed.epoch(stop=steps):
        if every_batch:
            hooks.call("on_predict_batch_begin", done, {})
        stacked, marker = engine.run(chunk.data, chunk.n)
        chunk.done(marker)
        pieces.append(jax.tree_util.tree_map_with_path(lambda p, y, c=chunk: _flattened(p, y, c), stacked))
        done += chunk.n
        if every_batch:
            hooks.call("on_predict_batch_end", done - 1, {})
        progress.update(done, dict)
    progress.end_epoch({})
    hooks.call("on_predict_end", {})
    return jax.tree.map(lambda *y: jnp.concatenate(y), *pieces) if len(pieces) > 1 else pieces[0]


def _flattened(path: Any, y_pred: Any, chunk: Any) -> Any:
    """Stacked predictions `(steps, batch, ...)` one after the other, without the steps that were not run."""
    if y_pred.ndim < 2 or y_pred.shape[1] != chunk.size:
        got = array_name(jax.ShapeDtypeStruct(y_pred.shape[1:], y_pred.dtype))
        raise DataError(
            f"`y_pred{path_name(path)}` is {got} for a batch of {chunk.size}: without an axis of examples in front, "
            "predictions of several batches can't be put together. Use `predict_on_batch`."
        )
    return y_pred[: chunk.n].reshape(chunk.n * chunk.size, *y_pred.shape[2:])
