"""`scan_fit`: a whole run as one pure function, which can be traced, mapped and differentiated.

It runs the chunks of `fit` (`_chunks.py`): an epoch is a chunk of all full batches, and one of the last, smaller batch.
Around them there is a scan over the epochs where `fit` has Python.
"""

import dataclasses
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import _checks
from .._data._as_batch import as_batch
from .._data._batch import Batch
from .._data._chunk import Placed
from .._data._shuffle import key_data_of, order
from .._describe import describe, did_you_mean, is_transformed, listed
from .._steps._assembly import carried_by
from .._steps._evaluated import evaluated
from .._steps._forward import size_of_batch
from .._steps._hashable import hashable_combine, hashable_partition
from .._steps._model_like import M
from .._steps._prepare import prepared
from .._steps._single_steps import call_step
from .._terms._class_weight import as_used_table
from .._terms._logs import StepLogs
from .._types import PyTree
from ..optimizers._hyperparameters import hyperparameter_arrays
from ..optimizers._optimizer import at_epoch
from ._chunks import filled, picked
from ._kinds import TEST, TRAIN, Kind
from ._label_check import check_labels
from ._monitor import Monitor

Logs = OrderedDict[str, Array]
"""Metric values by name. Ordered, as plain dicts come back from jax sorted by key."""


class ScanData(NamedTuple):
    """The examples of a run, all of them."""

    train: Batch
    validation: Batch | None


class _Stopping(NamedTuple):
    """What is known of a metric value that is watched."""

    best: Array
    seen: Array
    """Whether there has been a value that isn't NaN."""
    waited: Array
    stopped: Array


@dataclasses.dataclass(frozen=True)
class ScanFit:
    """A run, but for its model and its data. Hashable: a program is compiled for one."""

    epochs: int
    batch_size: int
    shuffle: bool
    monitor: str | None
    """The metric value that is watched, if training may stop."""
    patience: int
    remat_every: int | None

    def __call__(self, model: M, data: ScanData) -> tuple[M, Logs]:
        """Return the model after the run, and the metric values of its epochs."""
        arrays, frozen = hashable_partition(model)
        words = key_data_of(model.states.rng, jnp) if self.shuffle else None
        each = [TRAIN.traced(frozen, arrays, batch).changed for batch in self._batches(data.train)]
        changed = tuple(map(any, zip(*each, strict=True)))

        def epoch(carried: list[PyTree]) -> tuple[list[PyTree], Logs]:
            before = hashable_combine(filled(arrays, carried, changed), frozen)
            after, values = self._epoch(before, data, words)
            return picked(hashable_partition(after)[0], changed), values

        carried = picked(arrays, changed)
        if self.monitor is None:
            carried, logs = jax.lax.scan(lambda carry, _: epoch(carry), carried, None, length=self.epochs)
        else:
            carried, logs = self._until_stopped(epoch, carried)
        return hashable_combine(filled(arrays, carried, changed), frozen), logs

    def _batches(self, data: Batch) -> list[Batch]:
        """Return the shapes of a full batch, and of the last one if it is smaller."""
        n = _length(data)
        sizes = dict.fromkeys(size for size in (min(self.batch_size, n), n % self.batch_size) if size)

        def batch(size: int) -> Batch:
            shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype), _examples(data))
            return shapes._replace(class_weight=data.class_weight)

        return [batch(size) for size in sizes]

    def _epoch(self, model: M, data: ScanData, words: Array | None) -> tuple[M, Logs]:
        n, step = _length(data.train), model.states.get("step")
        places = jnp.arange(n) if words is None else order(words, step, n, 0, n, jnp).astype(jnp.int32)
        model, logs = self._pass(TRAIN, model, data.train, places)
        values = OrderedDict({**hyperparameter_arrays(model.states), **logs.compute()})
        if data.validation is not None:
            places = jnp.arange(_length(data.validation))
            _, logs = self._pass(TEST, evaluated(model, "test"), data.validation, places)
            values.update({f"val_{name}": value for name, value in logs.compute().items()})
        return model, values

    def _pass(self, kind: Kind, model: M, data: Batch, places: Array) -> tuple[M, StepLogs]:
        """Run all batches, of the examples at these places."""
        size = min(self.batch_size, len(places))
        full, rest = divmod(len(places), size)
        arrays, frozen = hashable_partition(model)
        chunk = Placed(_examples(data), places[: full * size].reshape(full, size), data.class_weight)
        logs = kind.traced(frozen, arrays, chunk.batch).empty
        model, logs = self._run(kind, model, logs, chunk, 0)
        if rest:
            last = chunk._replace(positions=places[full * size :][None])
            model, logs = kind.chunk(model, logs, last, 0, full, 1)
        return model, logs

    def _run(self, kind: Kind, model: M, logs: StepLogs, chunk: Placed, start: int) -> tuple[M, StepLogs]:
        every, steps = self.remat_every, chunk.steps
        if every is None or not kind.trains or steps <= every:
            return kind.chunk(model, logs, chunk, 0, start, steps)
        arrays, frozen = hashable_partition(model)
        changed = kind.traced(frozen, arrays, chunk.batch).changed

        @jax.checkpoint
        def part(carry: PyTree, positions: Array) -> PyTree:
            before = hashable_combine(filled(arrays, carry[0], changed), frozen)
            model, logs = kind.chunk(before, carry[1], chunk._replace(positions=positions), 0, start, every)
            return picked(hashable_partition(model)[0], changed), logs

        parts = steps // every
        positions = chunk.positions[: parts * every].reshape(parts, every, -1)
        begin = (picked(arrays, changed), logs)
        (carried, logs), _ = jax.lax.scan(lambda carry, where: (part(carry, where), None), begin, positions)
        model = hashable_combine(filled(arrays, carried, changed), frozen)
        if steps % every:
            left = chunk._replace(positions=chunk.positions[parts * every :])
            model, logs = kind.chunk(model, logs, left, 0, start + parts * every, left.steps)
        return model, logs

    def _until_stopped(self, epoch: Any, carried: list[PyTree]) -> tuple[list[PyTree], Logs]:
        """Scan over the epochs, of which those after the stop change nothing and have no metric values."""
        assert self.monitor is not None
        monitor = Monitor(self.monitor)
        shapes = jax.eval_shape(epoch, carried)[1]
        if monitor.name not in shapes:
            mend = did_you_mean(monitor.name, shapes, repr)
            raise KeyError(
                f"`monitor={monitor.name!r}`: there is no metric value of that name among {listed(shapes)}.{mend}"
            )
        worst = shapes[monitor.name]
        no = jnp.bool_(False)
        begin = _Stopping(jnp.full(worst.shape, monitor.worst, worst.dtype), no, jnp.int32(0), no)

        def run(carry: tuple[list[PyTree], _Stopping]) -> tuple[Any, Logs]:
            carried, known = carry
            carried, values = epoch(carried)
            value = values[monitor.name]
            first = ~known.seen & ~jnp.isnan(value)
            better = first | monitor.better(value, known.best)
            waited = jnp.where(better, 0, known.waited + 1)
            best = jnp.where(better, value, known.best)
            stopped = (waited > 0) & (waited >= self.patience)
            return (carried, _Stopping(best, known.seen | first, waited, stopped)), values

        def skip(carry: tuple[list[PyTree], _Stopping]) -> tuple[Any, Logs]:
            return carry, OrderedDict((name, _nothing(shape)) for name, shape in shapes.items())

        def step(carry: tuple[list[PyTree], _Stopping], _: None) -> tuple[Any, Logs]:
            return jax.lax.cond(carry[1].stopped, skip, run, carry)

        (carried, _), logs = jax.lax.scan(step, (carried, begin), None, length=self.epochs)
        return carried, logs


def _nothing(shape: PyTree) -> Array:
    inexact = jnp.issubdtype(shape.dtype, jnp.inexact)
    return jnp.full(shape.shape, np.nan if inexact else 0, shape.dtype)


def _examples(batch: Batch) -> Batch:
    return batch._replace(class_weight=None)


def _length(batch: Batch) -> int:
    length = size_of_batch(*_examples(batch))
    assert length is not None
    return length


def scan_fit(
    model: M,
    x: PyTree,
    y: PyTree,
    *,
    epochs: Any,
    batch_size: Any,
    sample_weight: PyTree,
    class_weight: PyTree,
    shuffle: Any,
    validation_data: Any,
    patience: Any,
    monitor: str,
    remat_every: Any,
) -> tuple[M, dict[str, Array]]:
    """What [`treegy.Model.scan_fit`][] does."""
    if model.run_eagerly:
        raise TypeError("`scan_fit` is one traced program, and the model has `run_eagerly=True`.")
    table = as_used_table(model.loss, class_weight)
    data = ScanData(as_batch(x, y, sample_weight, table, keep_numpy=False), _validation(validation_data))
    plan = ScanFit(
        _checks.positive("epochs", epochs, zero=True),
        _checks.positive("batch_size", batch_size),
        _checks.flag("shuffle", shuffle),
        None if patience is None else Monitor(monitor).name,
        0 if patience is None else _checks.positive("patience", patience, zero=True),
        _checks.optional("remat_every", remat_every),
    )
    length = _length(data.train)
    first = jax.tree.map(lambda a: a[: plan.batch_size], _examples(data.train))
    model = prepared(model, "train", first._replace(class_weight=table))
    before = carried_by(model).get("optimizer_states")
    if not is_transformed(model):
        at_epoch(before, 0, -(-length // plan.batch_size))
    if table is not None and not is_transformed(data):
        check_labels(TRAIN, model, data.train)
    model, logs = call_step(plan, model, data)
    return model, dict(logs)


def _validation(data: Any) -> Batch | None:
    if data is None:
        return None
    if not isinstance(data, tuple | list) or not 1 <= len(data) <= 3:
        raise TypeError(
            f"`validation_data` is {describe(data)}; a tuple `(x, y)` or `(x, y, sample_weight)` is expected, or "
            "`(x,)` without labels."
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return as_batch(x, y, sample_weight, None, keep_numpy=False)
