"""Arrays in PyTrees as data: what can be trained on, and batches of it."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from .._describe import array_name, describe, is_iterator, is_traced, listed, path_name
from .._errors import DataError
from .._types import Length, PyTree
from ._batch import Batch
from ._explicit_mesh import refuse_explicit
from ._frames import numbers_in
from ._mappings import as_dicts, is_mapping
from ._mistaken_batches import batches_explained
from ._table_rows import Rows, as_rows, check_is_one_table, columns, is_column, is_table

# On some machines the same as those of 64 and 128 bits, which JAX has.
_EXTENDED = {np.dtype(np.longdouble), np.dtype(np.clongdouble)} - {np.dtype(np.float64), np.dtype(np.complex128)}

# Of NumPy's arrays, those about which there is nothing to be asked but whether they have an axis.
_PLAIN = {np.dtype(code) for code in "?bBhHiIlLqQefd"}


def is_plain(value: object) -> bool:
    """Whether `value` is data as it is, as it mostly is: a NumPy array of numbers that JAX has too."""
    return type(value) is np.ndarray and value.ndim > 0 and value.dtype in _PLAIN


def as_arrays(value: PyTree, name: str) -> PyTree:
    """`value` with arrays at its leaves, each with an axis of examples.

    Nothing is copied. Lists of numbers become NumPy arrays; lists of arrays stay PyTrees.

    **Raises:** [`treegy.DataError`][] that names the leaf which isn't such an array, as in `x['image']`.
    """
    if value is None or is_plain(value):
        return value
    check_is_one_table(value, name)
    if is_table(value):
        value = columns(value, name)
    if isinstance(value, list) and _is_numbers(value):
        return _checked(_as_numpy(value, name), name)
    try:
        leaves, tree = jax.tree_util.tree_flatten_with_path(value, is_leaf=is_iterator)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"`{name}` is {describe(value)}, which is no PyTree for JAX: {_first_line(error)}. The keys of a dict are "
            "all strings, or all integers."
        ) from None
    if not leaves:
        raise DataError(f"`{name}` is {describe(value)}, which holds no arrays.")
    if any(is_mapping(leaf) for _, leaf in leaves):
        return as_arrays(as_dicts(value), name)
    arrays = [_as_array(leaf, name + path_name(path)) for path, leaf in leaves]
    return jax.tree_util.tree_unflatten(tree, arrays)


def _is_numbers(value: object) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(_is_numbers(v) for v in value)
    return isinstance(value, bool | int | float | np.number)


def _as_numpy(value: object, name: str) -> Any:
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"`{name}` is a list of numbers of different lengths; pass an array.") from None
    # NumPy makes objects or floats of integers that are too large for it.
    if array.dtype.kind in "Ouf":
        large = [v for v in _numbers_in(value) if isinstance(v, int) and not -(2**63) <= v < 2**63]
        if large:
            raise DataError(f"`{name}` holds the integer {large[0]}, which doesn't fit into 64 bits.")
    return array


def _numbers_in(value: PyTree) -> Iterator[Any]:
    for item in value:
        if isinstance(item, list):
            yield from _numbers_in(item)
        else:
            yield item


def _as_array(leaf: PyTree, name: str) -> Any:
    if is_traced(leaf):
        raise TypeError(
            f"`{name}` is traced ({array_name(leaf)}), and `fit`, `evaluate` and `predict` can't be: they run Python "
            "for every chunk. Under `jit`, `vmap` or `grad` call `scan_fit`, `train_on_batch`, `test_on_batch` or "
            "`predict_on_batch`."
        )
    if isinstance(leaf, jax.Array):
        if leaf.is_deleted():
            raise DataError(
                f"`{name}` is an array {array_name(leaf)} that was deleted: it was donated to a compiled function, or "
                "`delete()` was called. Make it again."
            )
        return _checked(leaf, name)
    if isinstance(leaf, Rows) or is_column(leaf):
        return _checked(leaf if isinstance(leaf, Rows) else as_rows(leaf, name), name)
    if isinstance(leaf, str | bytes):
        raise DataError(f"`{name}` is the string {describe(leaf)}; arrays of numbers are expected.")
    if isinstance(leaf, np.ma.MaskedArray):
        if np.ma.is_masked(leaf):
            raise DataError(
                f"`{name}` is a masked array, of which {np.ma.count_masked(leaf)} values are masked: the mask would be "
                f"lost. Pass `{name.rpartition(': ')[2]}.filled(0)`, and what counts as `sample_weight`."
            )
        leaf = np.ma.getdata(leaf)
    if hasattr(leaf, "toarray") and hasattr(leaf, "nnz"):
        raise DataError(
            f"`{name}` is a sparse matrix of shape {tuple(leaf.shape)}: JAX takes dense arrays. Pass "
            f"`{name.rpartition(': ')[2]}.toarray()`, if that fits into memory."
        )
    if not isinstance(leaf, np.ndarray) and hasattr(leaf, "__array__"):
        leaf = _as_host(leaf, name)  # such as a column of a data frame, or a tensor of PyTorch's
    if isinstance(leaf, np.ndarray | jax.Array):
        return _checked(leaf, name)
    if isinstance(leaf, bool | int | float):
        raise DataError(f"`{name}` is the number {leaf!r}, which has no axis of examples; arrays are expected.")
    if hasattr(leaf, "__getitem__") and hasattr(leaf, "__len__"):
        raise DataError(
            f"`{name}` is {describe(leaf)}, which gives examples and no batches: wrap it in something that makes them, "
            "such as `torch.utils.data.DataLoader` or `grain.MapDataset`."
        )
    mend = " A dataclass becomes one by `jax.tree_util.register_dataclass`." if dataclasses.is_dataclass(leaf) else ""
    raise DataError(f"`{name}` is {describe(leaf)}; NumPy or jax arrays are expected, in any PyTree.{mend}")


def _as_host(leaf: PyTree, name: str) -> Any:
    try:
        found = np.asarray(leaf)
        numbers = numbers_in(leaf) if found.dtype.kind == "O" else None
        return found if numbers is None else numbers
    except Exception as error:  # whatever another library raises
        # What NumPy has no dtype for, or is on another device.
        if hasattr(leaf, "__dlpack__"):
            with contextlib.suppress(Exception):
                return jax.dlpack.from_dlpack(leaf)
        tensor = " A tensor is read by `.detach().cpu().numpy()`." if hasattr(leaf, "detach") else ""
        raise DataError(
            f"`{name}` is an instance of {type(leaf).__name__} which can't be read as an array: "
            f"{type(error).__name__}: {_first_line(error)}.{tensor}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")[:200]


def _checked(array: Any, name: str) -> Any:
    if isinstance(array, np.ndarray | Rows) and array.dtype.kind in "OUSMm":
        kinds = {"O": "objects", "U": "strings", "S": "bytes", "M": "dates", "m": "durations"}
        raise DataError(
            f"`{name}` is an array of {kinds[array.dtype.kind]} ({array.dtype}); numbers are expected. Encode it "
            "first, such as classes as integers from 0."
        )
    if array.ndim == 0:
        raise DataError(f"`{name}` is {array_name(array)}, which has no axis of examples.")
    if isinstance(array, np.ndarray):
        if array.dtype.names or array.dtype in _EXTENDED:
            raise DataError(f"`{name}` is an array of {array.dtype}, which JAX does not have; convert it first.")
        if not array.dtype.isnative:
            return array.astype(array.dtype.newbyteorder("="))
    return array


# How many arrays an error lists.
_SHOWN = 6


def lengths(named: Mapping[str, PyTree]) -> dict[str, Length]:
    """Return the number of examples of every array, by its name."""
    return {
        name + path_name(path): leaf.shape[0]
        for name, value in named.items()
        for path, leaf in jax.tree_util.tree_leaves_with_path(value)
    }


def common_length(named: Mapping[str, PyTree]) -> Length:
    """Return the number of examples that all arrays have.

    **Raises:** [`treegy.DataError`][] if they differ, or if there are none.
    """
    found = lengths(named)
    if not found:
        raise DataError(f"there is no data: {', '.join(f'`{n}`' for n in named)} are None.")
    if len(set(found.values())) > 1:
        if len(found) > _SHOWN:
            # Of many arrays, one of each length comes first.
            firsts = {k: n for n, k in reversed(found.items())}
            found = {**{n: k for k, n in firsts.items()}, **found}
        text = listed((f"`{n}` has {k}" for n, k in found.items()), _SHOWN)
        raise DataError(f"all arrays must have the same number of examples: {text}.")
    (n,) = set(found.values())
    if n == 0:
        raise DataError(f"there are no examples: {listed((f'`{k}` has 0' for k in found), _SHOWN)}.")
    return n


def named_leaves(examples: Batch) -> list[tuple[str, Any]]:
    """Return the arrays of a batch or a data set, by the names that users have for them: `x`, `y['a']`."""

    def spelled(path: Any) -> str:
        name = path_name(path).lstrip(".")
        return "y" + name.removeprefix("y_true") if name.startswith("y_true") else name

    return [(spelled(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(examples)]


def _part(array: Any, start: int, stop: int) -> Any:
    return array.part(start, stop) if isinstance(array, Rows) else array[start:stop]


class Arrays(NamedTuple):
    """A data set held in arrays."""

    x: PyTree
    y: PyTree
    sample_weight: PyTree
    length: int

    @staticmethod
    def of(x: PyTree, y: PyTree = None, sample_weight: PyTree = None, prefix: str = "") -> "Arrays":
        """**Arguments:**

        - `x`, `y`, `sample_weight`: PyTrees of arrays of the same length.
        - `prefix`: what stands before their names in errors, as in `validation_data: x`.

        **Raises:** [`treegy.DataError`][] for what isn't that.
        """
        with batches_explained(f"{prefix}x", x, y):
            named = {
                f"{prefix}x": as_arrays(x, f"{prefix}x"),
                f"{prefix}y": as_arrays(y, f"{prefix}y"),
                f"{prefix}sample_weight": as_arrays(sample_weight, f"{prefix}sample_weight"),
            }
            refuse_explicit(named)
            length = common_length(named)
        return Arrays(named[f"{prefix}x"], named[f"{prefix}y"], named[f"{prefix}sample_weight"], length)

    @property
    def examples(self) -> Batch:
        return Batch(self.x, self.y, self.sample_weight)

    def first(self, size: int) -> Batch:
        """Return the first `size` examples, as a batch."""
        return jax.tree.map(lambda a: a[:size], self.examples)

    def split(self, fraction: float) -> "tuple[Arrays, Arrays]":
        """Return all but the last `fraction`, and the last `fraction`.

        **Raises:** [`treegy.DataError`][] if one of them has no examples.
        """
        # As on paper: 0.9 of 10 leaves one, though 10 * (1 - 0.9) is a little less.
        at = math.floor(self.length * (1 - fraction) + 1e-9 + 1e-12 * self.length)
        if at == 0 or at == self.length:
            side = "train" if at == 0 else "validate"
            raise DataError(f"`validation_split={fraction}` of {self.length} examples leaves none to {side} on.")
        before: Batch = jax.tree.map(lambda a: _part(a, 0, at), self.examples)
        after: Batch = jax.tree.map(lambda a: _part(a, at, self.length), self.examples)
        return (
            Arrays(before.x, before.y_true, before.sample_weight, at),
            Arrays(after.x, after.y_true, after.sample_weight, self.length - at),
        )

    @property
    def bytes_per_example(self) -> int:
        leaves = jax.tree.leaves(self.examples)
        return sum(a.dtype.itemsize * math.prod(a.shape[1:]) for a in leaves)


def batches_in(length: int, batch_size: int, remainder: bool = True) -> int:
    """Return how many batches a pass over `length` examples has."""
    return math.ceil(length / batch_size) if remainder else length // batch_size
