"""The engine: runs chunks one after the other, and holds the model and the logs in between.

What a chunk changes is given to the next one, whose results take its place in memory. The user's own arrays are never
given away: what they hold is copied once, before the first chunk.
"""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._data._batch import Batch
from .._data._chunk import Batches
from .._errors import CheckpointError
from .._sharding._placing import everywhere
from .._steps._hashable import Shapes, hashable_combine, hashable_partition
from .._steps._homes import at_home
from .._steps._model_like import ModelLike
from .._terms._logs import StepLogs
from .._types import PyTree
from ._kinds import Kind
from ._metric_values import metric_values
from ._traced_step import TracedStep


@jax.jit
def copied(arrays: list[PyTree]) -> list[PyTree]:
    return [jnp.copy(a) for a in arrays]


def _owned(arrays: list[PyTree], held: ModelLike | None) -> list[bool]:
    """Return which arrays are nobody else's: not among those held, and each but once."""
    others = {id(leaf) for leaf in jax.tree.leaves(held)}
    owned: list[bool] = []
    for array in arrays:
        owned.append(id(array) not in others)
        others.add(id(array))
    return owned


class _Ahead(NamedTuple):
    """Where steps began that were run ahead of the hooks for them."""

    arrays: list[PyTree]
    owned: list[bool]
    results: PyTree
    at_step: int
    data: Batches
    first: int
    n: int


class Engine(abc.ABC):
    """A model that runs chunks of one kind, and what they have accumulated."""

    looked_at = False
    """Whether somebody has asked for the model, or replaced it, since this was last set to false."""

    def __init__(self, model: ModelLike, kind: Kind, held: ModelLike | None = None):
        """**Arguments:**

        - `model`: the model to start from, which stays valid.
        - `kind`: `TRAIN`, `TEST` or `PREDICT`.
        - `held`: what the user holds, if that isn't all of `model`: the rest needn't be copied before it is donated.
        """
        self._kind = kind
        self.strategy = model.strategy
        home = at_home(model)
        self._arrays, self._frozen = hashable_partition(home)
        self._owned = [False] * len(self._arrays)
        if kind.trains:
            # Steps return arrays without weak types: with them, the next `fit` would compile everything again.
            self._arrays = [jnp.asarray(a, a.dtype) if getattr(a, "weak_type", False) else a for a in self._arrays]
            # Nothing else donates.
            self._owned = _owned(self._arrays, model if held is None else held)
            if home is not model:
                # What was brought to other devices may share memory with what the user holds.
                there = {id(leaf) for leaf in jax.tree.leaves(model)}
                pairs = zip(self._arrays, self._owned, strict=True)
                self._owned = [owned and id(array) in there for array, owned in pairs]
        self._index = 0
        self._first: Batch | None = None
        self._empty: StepLogs | None = None
        self._results: PyTree = None
        self._restored: list[Array] = []
        self._ahead: _Ahead | None = None
        self._hooks_at = 0

    # What the three of them do each in its own way

    @abc.abstractmethod
    def _run(self, data: Batches, first: int, start: int, n: int) -> tuple[PyTree, PyTree]:
        """Run `n` steps from the `first` batch of `data` on, whose batch at 0 is the `start`-th step.

        Returns what `run` does.
        """

    def _look(self, first: Batch) -> None:
        """Find out from the shapes of a batch what a step logs."""
        if not self._kind.predicts:
            self._empty = self._traced(first).empty

    @property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one."""
        return False

    @property
    def can_run_ahead(self) -> bool:
        """Whether several steps can be run before the hooks for the first of them are called."""
        return False

    def _run_with_values(self, data: Batches, first: int, n: int) -> list[dict[str, Any]]:
        """Run `n` steps from the `first` batch of `data` on. Returns the metric values after each."""
        values: list[dict[str, Any]] = []
        for i in range(first, first + n):
            self.run(data, 1, i)
            values.append(metric_values(self._results))
        return values

    # What they have in common

    def see(self, first: Batch) -> None:
        """Look at the shapes of a batch, before the first chunk: what a step changes and logs follows from them.

        **Raises:** [`treegy.CheckpointError`][] if what was restored doesn't fit.
        """
        self._first = first
        self._look(first)
        self._empty = everywhere(self._empty, self.strategy)
        self.reset()
        if self._restored:
            self._restore(self._restored)

    def reset(self) -> None:
        """Accumulate from scratch, as at the start of an epoch."""
        self._results = self._empty

    def run(self, data: Batches, n: int, first: int = 0) -> tuple[PyTree, PyTree]:
        """Run `n` steps over batches.

        **Arguments:**

        - `first`: with which batch of `data` to begin.

        **Returns:**

        `(result, marker)`: merged logs or stacked predictions, and an array that is ready once the data has been used.
        """
        start, self._index = self._index, self._index + n
        result, marker = self._run(data, first, start - first, n)
        if not self._kind.predicts:
            self._results = result
        return result, marker

    # Steps with the hooks for them (`_batch_hooks.py`)

    def run_one(self, data: Batches, which: int) -> dict[str, Any]:
        """Run the step over one of the batches. Returns the metric values after it."""
        return self._run_with_values(data, which, 1)[0]

    def run_ahead(self, data: Batches, first: int, n: int) -> list[dict[str, Any]]:
        """Run `n` steps before the hooks for the first of them are called. Returns the metric values after each.

        Until `hooks_are_at` says so, the model is the one before the first step: where it is asked for in between, it
        is that after as many steps as the hooks have been called for, and the others have not been made.
        """
        ahead = _Ahead(self._arrays, self._owned, self._results, self._index, data, first, n)
        values = self._run_with_values(data, first, n)
        self._ahead, self._hooks_at = ahead, 0
        return values

    def hooks_are_at(self, steps: int) -> None:
        """The hooks have been called for so many of the steps that were run ahead."""
        self._hooks_at = steps
        if self._ahead is not None and steps == self._ahead.n:
            self._ahead = None

    def drop_what_is_ahead(self) -> None:
        """Be where the hooks are: steps that are ahead of them have not been made."""
        ahead = self._ahead
        if ahead is None:
            return
        self._ahead = None
        self._arrays, self._owned, self._results, self._index = ahead[:4]
        if self._hooks_at:
            self._run_with_values(ahead.data, ahead.first, self._hooks_at)

    def _look_at(self) -> None:
        self.looked_at = True
        self.drop_what_is_ahead()

    def _traced(self, examples: Batch) -> TracedStep:
        return self._kind.traced(self._frozen, self._arrays, examples)

    @property
    def model(self) -> ModelLike:
        """The model as it is now. Its arrays are the engine's: the next training chunk may donate them."""
        self._look_at()
        return hashable_combine(self._arrays, self._frozen)

    def copy(self) -> ModelLike:
        """Return the model as it is now, with arrays of its own."""
        self._look_at()
        return hashable_combine(copied(self._arrays), self._frozen)

    def replace(self, model: ModelLike) -> None:
        """Continue with another model of the same structure, which stays valid.

        **Raises:** `ValueError` if it is of another structure.
        """
        self._look_at()
        if model.strategy != self.strategy:
            raise ValueError(
                "the model that a callback assigned has another strategy than the one that is trained: while `fit` "
                "runs, it stays on its devices."
            )
        arrays, frozen = hashable_partition(at_home(model))
        old, new = Shapes(self._arrays).key, Shapes(arrays).key
        if frozen != self._frozen or old != new:
            raise ValueError(
                "the model that a callback assigned has another structure than the one that is trained: while `fit` "
                "runs, only the values of its arrays can change."
            )
        self._arrays, self._owned = arrays, [False] * len(arrays)

    def restore(self, leaves: list[Array]) -> None:
        """Resume from the arrays of the logs that were accumulated in another process, before `see` is called, or now.

        **Raises:** [`treegy.CheckpointError`][] if they are those of other logs.
        """
        if self._first is not None and leaves:
            self._restore(leaves)
        else:
            self._restored = leaves

    def _restore(self, leaves: list[Array]) -> None:
        empty = self._empty
        if empty is None:
            assert self._first is not None
            empty = self._traced(self._first).empty
        old, tree = jax.tree.flatten(empty)
        if [(a.shape, a.dtype) for a in old] != [(a.shape, a.dtype) for a in leaves]:
            raise CheckpointError("The backup is of a run with other losses or metrics.")
        self._results = jax.tree.unflatten(tree, [jnp.asarray(a) for a in leaves])

    @property
    def empty(self) -> StepLogs | None:
        """The logs of no examples; `None` where the first batch has to be run to know what is logged."""
        return self._empty

    @property
    def logs(self) -> StepLogs:
        """What was accumulated since the last reset."""
        self.drop_what_is_ahead()
        return self._results if self._results is not None else StepLogs.of({})
