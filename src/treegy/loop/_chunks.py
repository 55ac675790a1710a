"""Chunks: many steps in one compiled call.

A chunk is a `fori_loop` over stacked batches whose trip count is traced, so that one program serves chunks of any
length. It is compiled over a flat list of the model's arrays; whatever in the model isn't an array is part of the
program's identity, so that a second `fit`, or another model of the same structure, compiles nothing again.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._accumulator import merge_all
from .._describe import array_name, path_name
from .._driver import Examples, Logs, emptied, predict, test, train
from .._steps import is_default_jit


class Frozen:
    """Everything in a model that isn't an array: hashable, and equal for models that one program serves."""

    def __init__(self, tree: Any, others: tuple[Any, ...]):
        self.tree = tree
        self.others = others
        self._hash = hash((tree, others))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Frozen)
            and self._hash == other._hash
            and self.tree == other.tree
            and self.others == other.others
        )


class _Hole:
    """Where an array goes."""


_HOLE = _Hole()


def split(model: Any) -> tuple[list[Any], Frozen]:
    """The arrays of a model, and the rest of it."""
    leaves, tree = jax.tree.flatten(model)
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    return arrays, Frozen(tree, tuple(_HOLE if _is_array(leaf) else leaf for leaf in leaves))


def join(arrays: list[Any], frozen: Frozen) -> Any:
    """The model of these arrays."""
    source = iter(arrays)
    return jax.tree.unflatten(frozen.tree, [next(source) if v is _HOLE else v for v in frozen.others])


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _at(data: Examples, i: Any) -> Examples:
    """The `i`-th of some stacked batches. Class weights are the same for all."""
    picked = jax.tree.map(lambda a: a[i], data._replace(class_weight=None))
    return picked._replace(class_weight=data.class_weight)


def _merged(old: Logs, new: Logs) -> Logs:
    """Accumulators after another batch, of the dtypes that they had: or the loop would not be one."""
    merged = merge_all(old, new)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(old), jax.tree.leaves(merged), strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise TypeError(
                f"merging accumulators changed `logs{path_name(path)}` from {array_name(a)} to {array_name(b)}; an "
                "`Accumulator` keeps its shapes and dtypes."
            )
    return jax.tree.map(lambda a, b: jnp.asarray(b, a.dtype), old, merged)


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _train_step(frozen: Frozen, arrays: list[Any], examples: Examples) -> tuple[list[Any], Logs]:
    # Jitted so that looking for the logs' structure and compiling the chunk trace the step once between them.
    model, logs = train(join(arrays, frozen), examples)
    return split(model)[0], logs


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _test_step(frozen: Frozen, arrays: list[Any], examples: Examples, index: Any) -> tuple[list[Any], Logs]:
    model, logs = test(join(arrays, frozen), examples, index)
    return split(model)[0], logs


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _predict_step(frozen: Frozen, arrays: list[Any], x: Any, index: Any) -> tuple[list[Any], Any]:
    model, y_pred = predict(join(arrays, frozen), x, index)
    return split(model)[0], y_pred


def train_chunk(model: Any, logs: Logs, data: Examples, start: Any, n: Any) -> tuple[Any, Logs]:
    """`n` training steps over stacked batches."""
    del start  # the step itself is counted in the states
    arrays, frozen = split(model)

    def body(i: Any, carry: Any) -> Any:
        arrays, new = _train_step(frozen, carry[0], _at(data, i))
        return arrays, _merged(carry[1], new)

    arrays, logs = jax.lax.fori_loop(0, n, body, (arrays, logs))
    return join(arrays, frozen), logs


def test_chunk(model: Any, logs: Logs, data: Examples, start: Any, n: Any) -> tuple[Any, Logs]:
    """`n` evaluation steps, of which the first is the `start`-th of its run."""
    arrays, frozen = split(model)

    def body(i: Any, carry: Any) -> Any:
        arrays, new = _test_step(frozen, carry[0], _at(data, i), start + i)
        return arrays, _merged(carry[1], new)

    arrays, logs = jax.lax.fori_loop(0, n, body, (arrays, logs))
    return join(arrays, frozen), logs


def predict_chunk(model: Any, logs: Any, data: Examples, start: Any, n: Any) -> tuple[Any, Any]:
    """`n` prediction steps; the predictions, stacked as the batches are."""
    del logs
    arrays, frozen = split(model)
    steps = jax.tree.leaves(data)[0].shape[0]
    one = jax.eval_shape(functools.partial(_predict_step, frozen), arrays, _at(data, 0).x, start)[1]
    room = jax.tree.map(lambda s: jnp.zeros((steps, *s.shape), s.dtype), one)

    def body(i: Any, carry: Any) -> Any:
        arrays, y_pred = _predict_step(frozen, carry[0], _at(data, i).x, start + i)
        written = jax.tree.map(lambda r, y: jax.lax.dynamic_update_index_in_dim(r, y, i, 0), carry[1], y_pred)
        return arrays, written

    arrays, y_pred = jax.lax.fori_loop(0, n, body, (arrays, room))
    return join(arrays, frozen), y_pred


Chunk = Callable[[Any, Any, Examples, Any, Any], tuple[Any, Any]]

_EAGER: dict[Any, Callable[..., Any]] = {
    train_chunk: lambda model, batch, index: train(model, batch),
    test_chunk: test,
    predict_chunk: lambda model, batch, index: predict(model, batch.x, index),
}


def _flat(chunk: Chunk, frozen: Frozen, arrays: list[Any], logs: Any, data: Any, start: Any, n: Any) -> Any:
    model, result = chunk(join(arrays, frozen), logs, data, start, n)
    return split(model)[0], result


_run = jax.jit(_flat, static_argnums=(0, 1))
_run_donating = jax.jit(_flat, static_argnums=(0, 1), donate_argnums=(2, 3))


class Engine:
    """A model that runs chunks of one kind, and what they have accumulated."""

    def __init__(self, model: Any, chunk: Chunk, first: Examples):
        """**Arguments:**

        - `model`: the model to start from, which stays valid.
        - `chunk`: `train_chunk`, `test_chunk` or `predict_chunk`.
        - `first`: a batch, of which only shapes are looked at.
        """
        self._chunk = chunk
        self._eager = bool(model.run_eagerly)
        self._compiled = None if is_default_jit(model) else model.jit_step(chunk)
        self._donates = chunk is train_chunk
        self._arrays, self._frozen = split(model)
        if self._donates and not self._eager:
            # The one copy: what the user holds is never donated.
            self._arrays = [jnp.copy(a) for a in self._arrays]
        self._first = first
        self._index = 0
        self._logs: Any = {}
        self.reset()

    def reset(self) -> None:
        """Accumulate anew, as at the begin of an epoch."""
        if self._chunk is predict_chunk:
            self._logs = {}
        elif self._eager:
            self._logs = None  # the first batch tells: a shape-only trace could not run code that wants values
        else:
            self._logs = self._empty()

    def _empty(self) -> Logs:
        step, more = (_train_step, ()) if self._chunk is train_chunk else (_test_step, (np.int32(0),))
        shapes = step.eval_shape(self._frozen, self._arrays, self._first, *more)[1]
        return emptied(jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))

    def run(self, data: Examples, n: int) -> Any:
        """Run `n` steps over stacked batches, and return what the chunk gives: logs or predictions."""
        start, self._index = self._index, self._index + n
        if self._eager:
            return self._run_eagerly(data, start, n)
        if self._compiled is not None:
            model, result = self._compiled(self.model, self._logs, _on_device(data), jnp.int32(start), jnp.int32(n))
            self._arrays = split(model)[0]
        else:
            run = _run_donating if self._donates else _run
            self._arrays, result = run(
                self._chunk, self._frozen, self._arrays, self._logs, data, np.int32(start), np.int32(n)
            )
        if self._chunk is not predict_chunk:
            self._logs = result
        return result

    def _run_eagerly(self, data: Examples, start: int, n: int) -> Any:
        model, step, predictions = self.model, _EAGER[self._chunk], []
        data = _on_device(data)
        for i in range(n):
            model, result = step(model, _at(data, i), start + i)
            if self._chunk is predict_chunk:
                predictions.append(result)
            else:
                self._logs = result if self._logs is None else _merged(self._logs, result)
        self._arrays = split(model)[0]
        return jax.tree.map(lambda *y: jnp.stack(y), *predictions) if predictions else self._logs

    @property
    def model(self) -> Any:
        """The model as it is now. Its arrays are the engine's: the next training chunk may donate them."""
        return join(self._arrays, self._frozen)

    def copy(self) -> Any:
        """The model as it is now, with arrays of its own."""
        return join([jnp.copy(a) for a in self._arrays], self._frozen)

    @property
    def logs(self) -> Logs:
        """What was accumulated since the last reset."""
        return self._logs or Logs()


def _on_device(data: Examples) -> Examples:
    return jax.tree.map(jnp.asarray, data)
