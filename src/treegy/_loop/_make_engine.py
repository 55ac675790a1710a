"""Which engine a model has: the compiled one, or one of the two that are here."""

import jax
import jax.numpy as jnp

from .._data._batch import Batch
from .._data._chunk import Batches
from .._steps._dispatch import is_default_jit
from .._steps._hashable import hashable_combine, hashable_partition
from .._steps._model_like import ModelLike
from .._types import PyTree
from ._chunks import merged
from ._compiled_engine import CompiledEngine
from ._engine import Engine, copied
from ._kinds import Kind
from ._stack_kinds import kind_for


def make_engine(model: ModelLike, kind: Kind, first: Batch | None = None, held: ModelLike | None = None) -> Engine:
    """Return the engine of a model: compiled by treegy, by the model's own `jit_step`, or not at all.

    **Arguments:**

    - `model`, `kind`, `held`: as in [`Engine`][].
    - `first`: a batch, of which only shapes are looked at; without it `see` is called before the first chunk.
    """
    kind = kind_for(model, kind)
    if model.run_eagerly:
        engine: Engine = EagerEngine(model, kind, held)
    elif is_default_jit(model):
        engine = CompiledEngine(model, kind, held)
    else:
        engine = JitStepEngine(model, kind, held)
    if first is not None:
        engine.see(first)
    return engine


class JitStepEngine(Engine):
    """Chunks are compiled by the model's own `jit_step`, which may donate anything."""

    def __init__(self, model: ModelLike, kind: Kind, held: ModelLike | None = None):
        super().__init__(model, kind, held)
        self._compiled = model.jit_step(kind.chunk)
        self._arrays = copied(self._arrays)

    def reset(self) -> None:
        self._results = jax.tree.map(jnp.copy, self._empty)

    def _run(self, data: Batches, first: int, start: int, n: int) -> tuple[PyTree, PyTree]:
        model = hashable_combine(self._arrays, self._frozen)
        model, result = self._compiled(model, self._results, data, jnp.int32(first), jnp.int32(start), jnp.int32(n))
        # So this is waited for now, and nothing later.
        jax.block_until_ready(result)
        self._arrays = hashable_partition(model)[0]
        return result, ()


class EagerEngine(Engine):
    """Steps run operation by operation.

    The first batch says what is logged: a trace of shapes alone could not run code that looks at values.
    """

    def _look(self, first: Batch) -> None: ...

    def _run(self, data: Batches, first: int, start: int, n: int) -> tuple[PyTree, PyTree]:
        model, predictions, logs = hashable_combine(self._arrays, self._frozen), [], self._results
        for i in range(first, first + n):
            model, result = self._kind.one_batch(model, data.at(i), start + i)
            if self._kind.predicts:
                predictions.append(result)
            else:
                logs = result if logs is None else merged(logs, result)
        self._arrays = hashable_partition(model)[0]
        return jax.tree.map(lambda *y: jnp.stack(y), *predictions) if self._kind.predicts else logs, None
