"""Chunks: many steps in one compiled call.

A chunk is a `fori_loop` whose trip count is traced, so that one program serves chunks of any length. What it carries
from step to step are the arrays of the model that a step changes, and what is made of the steps' results: merged logs,
or stacked predictions. Where its batches come from is the business of `data/`.

Everything in a model that isn't an array is part of the program's identity: a second `fit`, or another model of the
same structure, compiles nothing again.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, path_name
from .._driver import Examples, predict, test, train
from .._errors import CheckpointError
from .._flat import Frozen, join, split
from .._logs import Logs
from .._steps import is_default_jit
from ..data._chunk import shapes_of
from ._convolutions import channels_last, slow_in_loops
from ._retrace import note_batch, note_model

# One step of each kind over a model's arrays. Jitted for their caches only: asking which arrays a step changes, what
# it logs, and building a chunk of it, all share one trace of the user's code.


@functools.partial(jax.jit, static_argnums=0)
def _train_step(frozen: Frozen, arrays: list[Any], examples: Examples, index: Any) -> tuple[list[Any], Logs]:
    model, logs = train(join(arrays, frozen), examples)
    return split(model)[0], logs


@functools.partial(jax.jit, static_argnums=0)
def _test_step(frozen: Frozen, arrays: list[Any], examples: Examples, index: Any) -> tuple[list[Any], Logs]:
    model, logs = test(join(arrays, frozen), examples, index)
    return split(model)[0], logs


@functools.partial(jax.jit, static_argnums=0)
def _predict_step(frozen: Frozen, arrays: list[Any], examples: Examples, index: Any) -> tuple[list[Any], Any]:
    model, y_pred = predict(join(arrays, frozen), examples.x, index)
    return split(model)[0], y_pred


_NAMES: dict[Any, str] = {_train_step: "train", _test_step: "test", _predict_step: "pred"}


class Traced(NamedTuple):
    """What is known of a step before it has run."""

    results: Any
    """The shapes of what it returns, `(arrays, result)`."""
    changed: tuple[bool, ...]
    """Which of the model's arrays it changes: the others are no part of the loop."""


class _Shapes:
    """Arrays, equal to others of the same structure, shapes and dtypes."""

    def __init__(self, values: Any):
        self.values: Any = values
        leaves, tree = jax.tree.flatten(values)
        self.key = (tree, tuple((a.shape, a.dtype, getattr(a, "weak_type", False)) for a in leaves))
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shapes) and self.key == other.key

    def forget(self) -> None:
        """Let go of the arrays, which a cache would keep alive."""
        self.values = None


@functools.lru_cache(maxsize=256)
def _traced(step: Any, frozen: Frozen, shapes: _Shapes) -> Traced:
    arrays, examples = shapes.values
    note_model(_NAMES[step], frozen, arrays, shapes.key)
    traced = step.trace(frozen, arrays, examples, jax.ShapeDtypeStruct((), np.int32))
    before, after = traced.jaxpr.jaxpr.invars, traced.jaxpr.jaxpr.outvars
    changed = tuple(after[i] is not before[i] for i in range(len(arrays)))
    return Traced(traced.out_info, changed)


@functools.lru_cache(maxsize=256)
def _empty(step: Any, frozen: Frozen, shapes: _Shapes) -> Logs:
    """The logs of no examples."""
    found = _traced(step, frozen, shapes).results[1]
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), found).empty()


@functools.lru_cache(maxsize=256)
def _slow_in_loops(step: Any, frozen: Frozen, shapes: _Shapes) -> bool:
    arrays, examples = shapes.values
    return slow_in_loops(functools.partial(step, frozen), arrays, examples, np.int32(0))


def _known(cached: Any, step: Any, frozen: Frozen, arrays: list[Any], examples: Examples) -> Any:
    """What one of these caches holds for a step; it keeps none of the arrays alive."""
    shapes = _Shapes((arrays, examples))
    try:
        return cached(step, frozen, shapes)
    finally:
        shapes.forget()


def _looped(step: Any, fold: Any, model: Any, result: Any, data: Any, start: Any, n: Any) -> tuple[Any, Any]:
    """`n` steps over the batches of `data`, the first of which is the `start`-th of its run."""
    arrays, frozen = split(model)
    changed = _known(_traced, step, frozen, arrays, data.batch).changed
    run = channels_last(functools.partial(step, frozen))

    def body(i: Any, carry: Any) -> Any:
        carried, result = carry
        after, new = run(_filled(arrays, carried, changed), data.at(i), start + i)
        return _picked(after, changed), fold(result, new, i)

    carry = (_picked(arrays, changed), result)
    # A chunk with room for one step only is no loop: straight-line programs are compiled to something faster.
    carried, result = body(0, carry) if data.steps == 1 else jax.lax.fori_loop(0, n, body, carry)
    return join(_filled(arrays, carried, changed), frozen), result


def _picked(arrays: Sequence[Any], changed: Sequence[bool]) -> list[Any]:
    return [a for a, c in zip(arrays, changed, strict=True) if c]


def _filled(arrays: Sequence[Any], carried: Sequence[Any], changed: Sequence[bool]) -> list[Any]:
    source = iter(carried)
    return [next(source) if c else a for a, c in zip(arrays, changed, strict=True)]


def _merged(old: Logs, new: Logs, i: Any = None) -> Logs:
    """Accumulators after another batch, of the dtypes that they had: or the loop would not be one."""
    merged = old.merge(new)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(old.each), jax.tree.leaves(merged.each), strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise TypeError(
                f"merging accumulators changed `logs{path_name(path)}` from {array_name(a)} to {array_name(b)}; an "
                "`Accumulator` keeps its shapes and dtypes."
            )
    return jax.tree.map(lambda a, b: jnp.asarray(b, a.dtype), old, merged)


def _written(stacked: Any, y_pred: Any, i: Any) -> Any:
    """Predictions with those of the `i`-th step written into their place."""
    return jax.tree.map(lambda s, y: jax.lax.dynamic_update_index_in_dim(s, y, i, 0), stacked, y_pred)


def train_chunk(model: Any, logs: Logs, data: Any, start: Any, n: Any) -> tuple[Any, Logs]:
    """`n` training steps: the model after them, and the logs with theirs merged in."""
    return _looped(_train_step, _merged, model, logs, data, start, n)


def test_chunk(model: Any, logs: Logs, data: Any, start: Any, n: Any) -> tuple[Any, Logs]:
    """`n` evaluation steps: the model after them, and the logs with theirs merged in."""
    return _looped(_test_step, _merged, model, logs, data, start, n)


def predict_chunk(model: Any, y_pred: Any, data: Any, start: Any, n: Any) -> tuple[Any, Any]:
    """`n` prediction steps: the model after them, and the predictions, stacked as the batches are."""
    del y_pred
    arrays, frozen = split(model)
    one = _known(_traced, _predict_step, frozen, arrays, data.batch).results[1]
    room = jax.tree.map(lambda s: jnp.zeros((data.steps, *s.shape), s.dtype), one)
    return _looped(_predict_step, _written, model, room, data, start, n)


class Kind(NamedTuple):
    """What distinguishes training, evaluating and predicting."""

    chunk: Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]
    step: Any
    eager: Callable[[Any, Examples, Any], tuple[Any, Any]]
    """The same step without being compiled."""
    trains: bool = False
    """Whether the model is what is wanted, so that its buffers can be used for the next one."""
    predicts: bool = False


TRAIN = Kind(train_chunk, _train_step, lambda model, batch, index: train(model, batch), trains=True)
TEST = Kind(test_chunk, _test_step, test)
PREDICT = Kind(predict_chunk, _predict_step, lambda model, batch, index: predict(model, batch.x, index), predicts=True)


def _flat(
    chunk: Any,
    frozen: Frozen,
    changed: tuple[bool, ...],
    carried: list[Any],
    result: Any,
    kept: list[Any],
    data: Any,
    start: Any,
    n: Any,
) -> tuple[list[Any], Any, Any]:
    others = iter(kept)
    arrays = [None if c else next(others) for c in changed]
    model, result = chunk(join(_filled(arrays, carried, changed), frozen), result, data, start, n)
    carried = _picked(split(model)[0], changed)
    # The marker is never donated: waiting for it is waiting for what the chunk computes, and so for its data not being
    # read any more.
    marker, _ = jax.lax.optimization_barrier((start + n, jax.tree.leaves((result, carried))[:1]))
    return carried, result, marker


_run = jax.jit(_flat, static_argnums=(0, 1, 2))
_run_donating = jax.jit(_flat, static_argnums=(0, 1, 2), donate_argnums=3)


@jax.jit
def _copied(arrays: list[Any]) -> list[Any]:
    return [jnp.copy(a) for a in arrays]


def _owned(arrays: list[Any], held: Any) -> list[bool]:
    """Which arrays are nobody else's: not among those held, and each but once."""
    others = {id(leaf) for leaf in jax.tree.leaves(held)}
    owned: list[bool] = []
    for array in arrays:
        owned.append(id(array) not in others)
        others.add(id(array))
    return owned


def _is_last(shapes: Any, usual: Any) -> bool:
    """Whether a batch differs from the usual ones only in having fewer examples."""
    return len(shapes) == len(usual) and all(
        a[1] == b[1] and a[0][1:] == b[0][1:] and a[0][0] <= b[0][0] for a, b in zip(shapes, usual, strict=True)
    )


class Engine:
    """A model that runs chunks of one kind, and what they have accumulated."""

    def __init__(self, model: Any, kind: Kind, first: Examples, held: Any = None):
        """**Arguments:**

        - `model`: the model to start from, which stays valid.
        - `kind`: `TRAIN`, `TEST` or `PREDICT`.
        - `first`: a batch, of which only shapes are looked at.
        - `held`: what the user holds, if that isn't all of `model`: the rest needn't be copied before it is donated.
        """
        self._kind = kind
        self._eager = bool(model.run_eagerly)
        self._compiled = None if self._eager or is_default_jit(model) else model.jit_step(kind.chunk)
        self._arrays, self._frozen = split(model)
        if kind.trains:
            # Steps return arrays without weak types: with them, the next `fit` would compile everything again.
            self._arrays = [jnp.asarray(a, a.dtype) if getattr(a, "weak_type", False) else a for a in self._arrays]
        self._first = first
        self._owned = _owned(self._arrays, model if held is None else held)
        self._index = 0
        self._changed: dict[Any, tuple[bool, ...]] = {}
        self._explained = False
        # Run eagerly, the first batch says what is logged: a trace of shapes alone could not run code that looks at
        # values.
        self._empty: Any = None
        if not self._eager:
            self._changed[shapes_of(first)] = self._of_step(_traced, first).changed
            if not kind.predicts:
                self._empty = self._of_step(_empty, first)
        if self._compiled is not None:
            self._arrays = _copied(self._arrays)
        self.reset()

    def _of_step(self, cached: Any, examples: Examples) -> Any:
        return _known(cached, self._kind.step, self._frozen, self._arrays, examples)

    @functools.cached_property
    def slow_in_loops(self) -> bool:
        """Whether many steps a call would be slower than one: of some convolutions on the CPU."""
        if self._eager or self._compiled is not None:
            return False
        return self._of_step(_slow_in_loops, self._first)

    def reset(self) -> None:
        """Accumulate anew, as at the begin of an epoch."""
        # What users compile may donate it.
        self._results: Any = self._empty if self._compiled is None else jax.tree.map(jnp.copy, self._empty)

    def run(self, data: Any, n: int) -> Any:
        """Run `n` steps over batches.

        **Returns:**

        `(result, marker)`: merged logs or stacked predictions, and an array that is ready once the data has been used.
        """
        start, self._index = self._index, self._index + n
        if self._eager:
            result, marker = self._run_eagerly(data, start, n), None
        elif self._compiled is not None:
            model, result = self._compiled(self.model, self._results, data, jnp.int32(start), jnp.int32(n))
            # What users compile may donate anything: so this is waited for now, and nothing later.
            jax.block_until_ready(result)
            self._arrays, marker = split(model)[0], ()
        else:
            result, marker = self._run_compiled(data, start, n)
        if not self._kind.predicts:
            self._results = result
        return result, marker

    def _run_compiled(self, data: Any, start: int, n: int) -> Any:
        changed = self._changes(data)
        if self._kind.trains:
            # The one copy of what the user holds, which is never donated.
            alien = [i for i, c in enumerate(changed) if c and not self._owned[i]]
            for i, copy in zip(alien, _copied([self._arrays[i] for i in alien]) if alien else (), strict=True):
                self._arrays[i], self._owned[i] = copy, True
        run = _run_donating if self._kind.trains else _run
        carried = _picked(self._arrays, changed)
        kept = [a for a, c in zip(self._arrays, changed, strict=True) if not c]
        carried, result, marker = run(
            self._kind.chunk,
            self._frozen,
            changed,
            carried,
            self._results,
            kept,
            data,
            np.int32(start),
            np.int32(n),
        )
        self._arrays = _filled(self._arrays, carried, changed)
        return result, marker

    def _changes(self, data: Any) -> tuple[bool, ...]:
        """Which arrays a step over such batches changes."""
        shapes = data.shapes
        if shapes not in self._changed:
            self._changed[shapes] = self._of_step(_traced, data.batch).changed
            # A last, smaller batch is nothing to talk about.
            if not self._explained and (len(self._changed) > 2 or not _is_last(shapes, next(iter(self._changed)))):
                self._explained = True
                note_batch(_NAMES[self._kind.step], self._first, data.batch)
        return self._changed[shapes]

    def _run_eagerly(self, data: Any, start: int, n: int) -> Any:
        model, predictions, logs = self.model, [], self._results
        for i in range(n):
            model, result = self._kind.eager(model, data.at(i), start + i)
            if self._kind.predicts:
                predictions.append(result)
            else:
                logs = result if logs is None else _merged(logs, result)
        self._arrays = split(model)[0]
        return jax.tree.map(lambda *y: jnp.stack(y), *predictions) if self._kind.predicts else logs

    @property
    def model(self) -> Any:
        """The model as it is now. Its arrays are the engine's: the next training chunk may donate them."""
        return join(self._arrays, self._frozen)

    def copy(self) -> Any:
        """The model as it is now, with arrays of its own."""
        return join(_copied(self._arrays), self._frozen)

    def replace(self, model: Any) -> None:
        """Go on with another model of the same structure, which stays valid.

        **Raises:** `ValueError` if it is of another structure.
        """
        arrays, frozen = split(model)
        old, new = _Shapes(self._arrays).key, _Shapes(arrays).key
        if frozen != self._frozen or old != new:
            raise ValueError(
                "the model that a callback assigned has another structure than the one that is trained: while `fit` "
                "runs, only the values of its arrays can change."
            )
        self._arrays, self._owned = arrays, [False] * len(arrays)

    def restore(self, leaves: list[Any]) -> None:
        """Go on from the arrays of the logs that were accumulated in another process.

        **Raises:** [`treegy.CheckpointError`][] if they are those of other logs.
        """
        if not leaves:
            return
        empty = self._empty
        if empty is None:
            empty = self._of_step(_empty, self._first)
        old, tree = jax.tree.flatten(empty)
        if [(a.shape, a.dtype) for a in old] != [(a.shape, a.dtype) for a in leaves]:
            raise CheckpointError("The backup is of a training with other losses or metrics.")
        self._results = jax.tree.unflatten(tree, [jnp.asarray(a) for a in leaves])

    @property
    def logs(self) -> Logs:
        """What was accumulated since the last reset."""
        return self._results if self._results is not None else Logs.of({})
