"""Training, evaluating and predicting: what distinguishes them."""

import functools
from typing import Any, NamedTuple

from jax.typing import ArrayLike

from .._data._batch import Batch
from .._steps._hashable import Static
from .._steps._model_like import M
from .._steps._run_step import predict, test, train
from .._terms._logs import StepLogs
from .._types import PyTree
from ._chunks import Chunked, merged_chunk, merged_chunk_with_values, predicted_chunk
from ._traced_step import OneBatch, Step, TracedStep, step_of, traced_step


class Kind(NamedTuple):
    """What distinguishes training, evaluating and predicting."""

    name: str
    """`train`, `test` or `pred`."""
    one_batch: OneBatch
    """A step, not compiled."""
    step: Step
    chunk: Chunked
    chunk_with_values: Chunked
    """That, and the metric values after each step; of predictions, which have none, the same."""
    trains: bool = False
    """Whether the model is what is wanted, so that its buffers can be used for the next one."""
    predicts: bool = False

    def traced(self, frozen: Static, arrays: list[PyTree], examples: Batch) -> TracedStep:
        """Return what a trace of the step tells."""
        return traced_step(self.step, frozen, arrays, examples)


def _train(model: M, batch: Batch, index: ArrayLike) -> tuple[M, StepLogs]:
    del index  # a model that is trained counts its steps itself
    return train(model, batch)


def _predict(model: M, batch: Batch, index: ArrayLike) -> tuple[M, PyTree]:
    return predict(model, batch.x, index)


def named(chunk: Any, name: str) -> Chunked:
    """Return a chunk that is called so, for `jit_step`s that ask a function for its name."""
    chunk.__name__ = chunk.__qualname__ = name
    return chunk


def _logging(name: str, one_batch: OneBatch, *, trains: bool) -> Kind:
    step = step_of(name, one_batch)
    chunk = named(functools.partial(merged_chunk, step), f"{name}_chunk")
    with_values = named(functools.partial(merged_chunk_with_values, step), f"{name}_chunk_with_values")
    return Kind(name, one_batch, step, chunk, with_values, trains=trains)


def _predicting(one_batch: OneBatch) -> Kind:
    step = step_of("pred", one_batch)
    chunk = named(functools.partial(predicted_chunk, step), "pred_chunk")
    return Kind("pred", one_batch, step, chunk, chunk, predicts=True)


TRAIN = _logging("train", _train, trains=True)
TEST = _logging("test", test, trains=False)
PREDICT = _predicting(_predict)
