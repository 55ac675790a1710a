"""Arrays in PyTrees as data: what can be trained on, and batches of it."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, describe, is_key, is_traced, path_name
from .._driver import Examples
from .._errors import DataError


def as_arrays(value: Any, name: str) -> Any:
    """`value` with arrays at its leaves, each with an axis of examples.

    Nothing is copied. Lists of numbers become NumPy arrays; lists of arrays stay PyTrees.

    **Raises:** [`treegy.DataError`][] that names the leaf which isn't such an array, as in `x['image']`.
    """
    if value is None:
        return None
    if isinstance(value, list) and _is_numbers(value):
        return _checked(_as_numpy(value, name), name)
    leaves, tree = jax.tree_util.tree_flatten_with_path(value)
    arrays = [_as_array(leaf, name + path_name(path)) for path, leaf in leaves]
    return jax.tree_util.tree_unflatten(tree, arrays)


def _is_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(_is_numbers(v) for v in value)
    return isinstance(value, bool | int | float | np.number)


def _as_numpy(value: Any, name: str) -> Any:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"`{name}` is a list of numbers of different lengths; pass an array.") from None


def _as_array(leaf: Any, name: str) -> Any:
    if is_traced(leaf):
        raise TypeError(
            f"`{name}` is traced ({array_name(leaf)}), and `fit`, `evaluate` and `predict` can't be: they run Python "
            "for every chunk. Under `jit`, `vmap` or `grad` call `train_on_batch`, `test_on_batch` or "
            "`predict_on_batch`."
        )
    if isinstance(leaf, jax.Array):
        return _checked(leaf, name)
    if isinstance(leaf, str | bytes):
        raise DataError(f"`{name}` is the string {describe(leaf)}; arrays of numbers are expected.")
    if not isinstance(leaf, np.ndarray) and hasattr(leaf, "__array__"):
        leaf = np.asarray(leaf)  # such as a column of a data frame
    if isinstance(leaf, np.ndarray):
        return _checked(leaf, name)
    if isinstance(leaf, bool | int | float):
        raise DataError(f"`{name}` is the number {leaf!r}, which has no axis of examples; arrays are expected.")
    raise DataError(
        f"`{name}` is {describe(leaf)}; NumPy or jax arrays are expected, in any PyTree. A dataclass becomes one by "
        "`jax.tree_util.register_dataclass`."
    )


def _checked(array: Any, name: str) -> Any:
    if isinstance(array, np.ndarray) and array.dtype.kind in "OUSMm":
        kinds = {"O": "objects", "U": "strings", "S": "bytes", "M": "dates", "m": "durations"}
        raise DataError(
            f"`{name}` is an array of {kinds[array.dtype.kind]} ({array.dtype}); numbers are expected. Encode it "
            "first, such as classes as integers from 0."
        )
    if array.ndim == 0:
        raise DataError(f"`{name}` is {array_name(array)}, which has no axis of examples.")
    return array


def lengths(named: dict[str, Any]) -> dict[str, int]:
    """The number of examples of every array, by its name."""
    return {
        name + path_name(path): leaf.shape[0]
        for name, value in named.items()
        for path, leaf in jax.tree_util.tree_leaves_with_path(value)
    }


def common_length(named: dict[str, Any]) -> int:
    """The number of examples that all arrays have.

    **Raises:** [`treegy.DataError`][] if they differ, or if there are none.
    """
    found = lengths(named)
    if not found:
        raise DataError(f"there is no data: {' and '.join(f'`{n}`' for n in named)} have no arrays.")
    if len(set(found.values())) > 1:
        text = ", ".join(f"`{n}` has {k}" for n, k in found.items())
        raise DataError(f"all arrays must have the same number of examples: {text}.")
    (n,) = set(found.values())
    if n == 0:
        raise DataError(f"there are no examples: {', '.join(f'`{k}`' for k in found)} has length 0.")
    return n


class Arrays(NamedTuple):
    """A data set held in arrays."""

    x: Any
    y: Any
    sample_weight: Any
    length: int

    @staticmethod
    def of(x: Any, y: Any = None, sample_weight: Any = None, prefix: str = "") -> "Arrays":
        """**Arguments:**

        - `x`, `y`, `sample_weight`: PyTrees of arrays of the same length.
        - `prefix`: what stands before their names in errors, as in `validation_data: x`.

        **Raises:** [`treegy.DataError`][] for what isn't that.
        """
        named = {
            f"{prefix}x": as_arrays(x, f"{prefix}x"),
            f"{prefix}y": as_arrays(y, f"{prefix}y"),
            f"{prefix}sample_weight": as_arrays(sample_weight, f"{prefix}sample_weight"),
        }
        length = common_length(named)
        return Arrays(named[f"{prefix}x"], named[f"{prefix}y"], named[f"{prefix}sample_weight"], length)

    def _leaves(self) -> Any:
        return Examples(self.x, self.y, self.sample_weight)

    def first(self, size: int) -> Examples:
        """The first `size` examples, as a batch."""
        return jax.tree.map(lambda a: a[:size], self._leaves())

    def split(self, fraction: float) -> "tuple[Arrays, Arrays]":
        """All but the last `fraction`, and the last `fraction`.

        **Raises:** [`treegy.DataError`][] if one of them has no examples.
        """
        at = math.floor(self.length * (1 - fraction))
        if at == 0 or at == self.length:
            side = "train" if at == 0 else "validate"
            raise DataError(f"`validation_split={fraction}` of {self.length} examples leaves none to {side} on.")
        before: Examples = jax.tree.map(lambda a: a[:at], self._leaves())
        after: Examples = jax.tree.map(lambda a: a[at:], self._leaves())
        return (
            Arrays(before.x, before.y_true, before.sample_weight, at),
            Arrays(after.x, after.y_true, after.sample_weight, self.length - at),
        )

    @property
    def bytes_per_example(self) -> int:
        leaves = jax.tree.leaves(self._leaves())
        return sum(a.dtype.itemsize * math.prod(a.shape[1:]) for a in leaves)


class Chunk(NamedTuple):
    """Batches of the same size, stacked: leaves `(steps, batch, ...)`, of which the first `n` are filled."""

    examples: Examples
    n: int
    size: int
    """The examples in each batch."""


def chunks(
    arrays: Arrays,
    batch_size: int,
    steps: int,
    order: Callable[[int, int], Any] | None,
    *,
    stop: int | None = None,
    remainder: bool = True,
) -> Iterator[Chunk]:
    """One pass over the data in chunks of at most `steps` batches; the last, smaller batch is a chunk of its own.

    **Arguments:**

    - `arrays`: the data.
    - `batch_size`, `steps`: how many examples are in a batch, and how many batches in a chunk.
    - `order`: the positions from `start` on, `size` many, of this pass; `None` for the order of the arrays.
    - `stop`: after how many batches to stop, if not at the end.
    - `remainder`: whether the last batch is used if it is smaller.
    """
    full, rest = divmod(arrays.length, batch_size)
    if stop is not None and stop <= full:
        full, rest = stop, 0
    done = 0
    while done < full:
        n = min(steps, full - done)
        yield Chunk(_gather(arrays, order, done * batch_size, n, steps, batch_size), n, batch_size)
        done += n
    if rest and remainder:
        yield Chunk(_gather(arrays, order, full * batch_size, 1, 1, rest), 1, rest)


def batches_in(length: int, batch_size: int, remainder: bool = True) -> int:
    """How many batches a pass over `length` examples has."""
    return math.ceil(length / batch_size) if remainder else length // batch_size


def _gather(
    arrays: Arrays, order: Callable[[int, int], Any] | None, start: int, n: int, steps: int, size: int
) -> Examples:
    """The batches from position `start` on: `n` of them, in buffers that have room for `steps`."""
    positions = None if order is None else order(start, n * size)

    def one(leaf: Any) -> Any:
        # Host memory is gathered on the host; on the CPU a jax array is host memory too.
        source = np.asarray(leaf) if not isinstance(leaf, jax.Array) or _on_host(leaf) else leaf
        if isinstance(source, jax.Array):
            picked = source[start : start + n * size] if positions is None else jnp.take(source, positions, axis=0)
            room = jnp.pad(picked, [(0, (steps - n) * size)] + [(0, 0)] * (picked.ndim - 1))
            return room.reshape(steps, size, *leaf.shape[1:])
        buffer = np.empty((steps * size, *source.shape[1:]), source.dtype)
        if positions is None:
            buffer[: n * size] = source[start : start + n * size]
        else:
            np.take(source, positions, axis=0, out=buffer[: n * size], mode="clip")
        buffer[n * size :] = 0
        return buffer.reshape(steps, size, *source.shape[1:])

    return jax.tree.map(one, arrays._leaves())  # pyright: ignore[reportPrivateUsage]


def _on_host(array: jax.Array) -> bool:
    return all(d.platform == "cpu" for d in array.devices()) and not is_key(array)
