"""What training, evaluating and predicting are for a stack of models: the same chunks, for each of them.

All see the same batches, in the same order. Where networks are small, or on an accelerator, they are run at once;
else a chunk is run for one model after the other.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._data._batch import Batch
from .._data._chunk import Batches
from .._steps._hashable import Static, hashable_combine, hashable_partition
from .._steps._model_like import M, ModelLike
from .._steps._run_step import predict, test, train
from .._steps._stacks import over_models, over_models_fast, size_of_stack
from .._terms._logs import StepLogs
from .._types import PyTree
from ._chunks import (
    PREDICT,
    TEST,
    TRAIN,
    Kind,
    predict_chunk,
    test_chunk,
    test_chunk_with_values,
    train_chunk,
    train_chunk_with_values,
)


def train_stack(stack: M, batch: Batch, index: ArrayLike) -> tuple[M, StepLogs]:
    del index
    stack, logs = over_models(train, stack, batch)
    return stack, logs.of_stack()


def test_stack(stack: M, batch: Batch, index: ArrayLike) -> tuple[M, StepLogs]:
    stack, logs = over_models(test, stack, batch, index)
    return stack, logs.of_stack()


def predict_stack(stack: M, batch: Batch, index: ArrayLike) -> tuple[M, PyTree]:
    return over_models(predict, stack, batch.x, index)


@functools.partial(jax.jit, static_argnums=0)
def train_step_of_stack(
    frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike
) -> tuple[list[PyTree], StepLogs]:
    stack, logs = train_stack(hashable_combine(arrays, frozen), examples, index)
    return hashable_partition(stack)[0], logs


@functools.partial(jax.jit, static_argnums=0)
def test_step_of_stack(
    frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike
) -> tuple[list[PyTree], StepLogs]:
    stack, logs = test_stack(hashable_combine(arrays, frozen), examples, index)
    return hashable_partition(stack)[0], logs


@functools.partial(jax.jit, static_argnums=0)
def predict_step_of_stack(
    frozen: Static, arrays: list[PyTree], examples: Batch, index: ArrayLike
) -> tuple[list[PyTree], PyTree]:
    stack, y_pred = predict_stack(hashable_combine(arrays, frozen), examples, index)
    return hashable_partition(stack)[0], y_pred


def _over_logs(chunk: Any, stack: M, logs: StepLogs, *rest: Any) -> tuple[M, Any]:
    return over_models_fast(lambda one, *given: chunk(one[0], one[1], *given), (stack, logs.of_one()), *rest)


def train_chunk_of_stack(
    stack: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, StepLogs]:
    stack, logs = _over_logs(train_chunk, stack, logs, data, first, start, n)
    return stack, logs.of_stack()


def test_chunk_of_stack(
    stack: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, StepLogs]:
    stack, logs = _over_logs(test_chunk, stack, logs, data, first, start, n)
    return stack, logs.of_stack()


def _with_values(chunk: Any, stack: M, logs: StepLogs, *rest: Any) -> tuple[M, tuple[StepLogs, PyTree]]:
    stack, (logs, values) = _over_logs(chunk, stack, logs, *rest)
    # Values of steps, one after the other, of which each has those of all models.
    return stack, (logs.of_stack(), jax.tree.map(lambda v: jnp.moveaxis(v, 0, 1), values))


def train_chunk_of_stack_with_values(
    stack: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, tuple[StepLogs, PyTree]]:
    return _with_values(train_chunk_with_values, stack, logs, data, first, start, n)


def test_chunk_of_stack_with_values(
    stack: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, tuple[StepLogs, PyTree]]:
    return _with_values(test_chunk_with_values, stack, logs, data, first, start, n)


def predict_chunk_of_stack(
    stack: M, y_pred: PyTree, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
) -> tuple[M, PyTree]:
    """`n` prediction steps: the stack after them, and its predictions `(models, steps, batch, ...)`."""
    return over_models_fast(lambda model, *given: predict_chunk(model, y_pred, *given), stack, data, first, start, n)


def kind_for(model: ModelLike, kind: Kind) -> Kind:
    """Return `TRAIN`, `TEST` or `PREDICT` as it is for this model, which may be a stack."""
    return kind if size_of_stack(model) is None else _OF_STACKS[kind.name]


_OF_STACKS = {
    "train": TRAIN._replace(
        chunk=train_chunk_of_stack,
        chunk_with_values=train_chunk_of_stack_with_values,
        step=train_step_of_stack,
        eager=train_stack,
    ),
    "test": TEST._replace(
        chunk=test_chunk_of_stack,
        chunk_with_values=test_chunk_of_stack_with_values,
        step=test_step_of_stack,
        eager=test_stack,
    ),
    "pred": PREDICT._replace(
        chunk=predict_chunk_of_stack,
        chunk_with_values=predict_chunk_of_stack,
        step=predict_step_of_stack,
        eager=predict_stack,
    ),
}
