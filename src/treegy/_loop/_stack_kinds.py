"""What training, evaluating and predicting are for a stack of models: the same chunks, for each of them.

All see the same batches, in the same order. Where networks are small, or on an accelerator, they are run at once;
else a chunk is run for one model after the other.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._data._batch import Batch
from .._data._chunk import Batches
from .._steps._model_like import M, ModelLike
from .._steps._stacks import over_models, over_models_fast, size_of_stack
from .._terms._logs import StepLogs
from .._types import PyTree
from ._chunks import Chunked
from ._kinds import PREDICT, TEST, TRAIN, Kind, named
from ._traced_step import step_of


def _of_stack(kind: Kind) -> Kind:
    """Return what a kind is for a stack."""

    def one_batch(stack: M, batch: Batch, index: ArrayLike) -> tuple[M, PyTree]:
        stack, result = over_models(kind.one_batch, stack, batch, index)
        return stack, result if kind.predicts else result.of_stack()

    step = step_of(kind.name, one_batch)
    if kind.predicts:
        chunk = named(_predicted(kind.chunk), "pred_chunk_of_stack")
        return kind._replace(one_batch=one_batch, step=step, chunk=chunk, chunk_with_values=chunk)
    return kind._replace(
        one_batch=one_batch,
        step=step,
        chunk=named(_merged(kind.chunk), f"{kind.name}_chunk_of_stack"),
        chunk_with_values=named(_merged_with_values(kind.chunk_with_values), f"{kind.name}_chunk_of_stack_with_values"),
    )


def _merged(chunk: Chunked) -> Chunked:
    def merged(
        stack: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
    ) -> tuple[M, StepLogs]:
        stack, logs = _over_logs(chunk, stack, logs, data, first, start, n)
        return stack, logs.of_stack()

    return merged


def _merged_with_values(chunk: Chunked) -> Chunked:
    def merged(
        stack: M, logs: StepLogs, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
    ) -> tuple[M, tuple[StepLogs, PyTree]]:
        stack, (logs, values) = _over_logs(chunk, stack, logs, data, first, start, n)
        # Values of steps, one after the other, of which each has those of all models.
        return stack, (logs.of_stack(), jax.tree.map(lambda v: jnp.moveaxis(v, 0, 1), values))

    return merged


def _over_logs(chunk: Chunked, stack: M, logs: StepLogs, *rest: Any) -> tuple[M, Any]:
    return over_models_fast(lambda one, *given: chunk(one[0], one[1], *given), (stack, logs.of_one()), *rest)


def _predicted(chunk: Chunked) -> Chunked:
    def predicted(
        stack: M, y_pred: PyTree, data: Batches, first: ArrayLike, start: ArrayLike, n: ArrayLike
    ) -> tuple[M, PyTree]:
        """`n` prediction steps: the stack after them, and its predictions `(models, steps, batch, ...)`."""
        return over_models_fast(lambda model, *given: chunk(model, y_pred, *given), stack, data, first, start, n)

    return predicted


OF_STACKS = {kind.name: _of_stack(kind) for kind in (TRAIN, TEST, PREDICT)}


def kind_for(model: ModelLike, kind: Kind) -> Kind:
    """Return `TRAIN`, `TEST` or `PREDICT` as it is for this model, which may be a stack."""
    return kind if size_of_stack(model) is None else OF_STACKS[kind.name]
