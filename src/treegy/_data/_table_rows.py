"""Tables whose rows are read when they are needed: the data sets of Hugging Face's `datasets`, and their columns.

What a row holds is what the table's own format and transform give; only where that would be Python's or a data frame's
numbers are they read as NumPy's.
"""

import copy
from collections.abc import Mapping
from typing import Any, cast

import jax
import numpy as np

from .._describe import array_name
from .._errors import DataError
from .._types import PyTree

# Formats whose values are arrays already, or whatever a transform makes of them.
_OF_ARRAYS = ("numpy", "torch", "jax", "tensorflow", "custom")


class Rows:
    """A column as an array whose examples are read when they are needed.

    Its shape and dtype are those of the first row, and every other one that is read has to have them.
    """

    def __init__(self, table: Any, column: str | None, name: str):
        """**Arguments:**

        - `table`: gives the rows at some positions: a `_Table`, or a sequence.
        - `column`: the name of the column; `None` if the rows are what is asked for.
        - `name`: what it is called in errors.
        """
        self._table = table
        self._column = column
        self._name = name
        self._start, self._stop = 0, len(table)
        probe = self._array(np.array([0])) if self._stop else np.zeros(0)
        self.dtype, self._row = probe.dtype, probe.shape[1:]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._stop - self._start, *self._row)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self._stop - self._start

    def part(self, start: int, stop: int) -> "Rows":
        """Return the examples from `start` to `stop`, unread."""
        part = copy.copy(self)
        part._start, part._stop = self._start + start, min(self._start + stop, self._stop)
        return part

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Return the examples at some positions.

        **Raises:** [`treegy.DataError`][] that names the array, if their shape or dtype is another one than that of the
        first row, as that of missing values is.
        """
        positions = np.asarray(positions, np.int64) + self._start
        found = self._array(positions)
        if found.shape == (len(positions), *self._row) and _holds(self.dtype, found):
            return found.astype(self.dtype, copy=False)
        return self._one_by_one(positions)

    def _one_by_one(self, positions: np.ndarray) -> np.ndarray:
        """Read each row for itself, to say which of them differs."""
        rows: list[Any] = []
        for position in positions:
            row = self._array(np.array([position]))
            if row.shape[1:] != self._row or not _holds(self.dtype, row):
                missing = row.dtype.kind == "O" or (row.dtype.kind == "f" and bool(np.isnan(row).any()))
                one = array_name(jax.ShapeDtypeStruct(self._row, self.dtype))
                what = "a missing value" if missing else array_name(row[0])
                mend = (
                    "Leave such rows out, or give them a value and a `sample_weight` of 0."
                    if missing
                    else "All rows have the same shape and dtype: pad them, or leave these out."
                )
                raise DataError(f"`{self._name}` has {what} in row {position}, and {one} in row 0. {mend}")
            rows.append(row.astype(self.dtype))
        return np.concatenate(rows)

    def _array(self, positions: np.ndarray) -> np.ndarray:
        found = self._table[positions] if self._column is None else self._table.read(positions, self._column)
        return _stacked(found)

    def __getitem__(self, rows: slice) -> Any:
        return self.read(np.arange(*rows.indices(len(self))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        read = self[:]
        return read if dtype is None else read.astype(dtype)


def is_table(value: object) -> bool:
    """Whether `value` is a data set of Hugging Face's with columns that can be read at any position.

    Not those that are streamed, which have no length, nor a dict of data sets.
    """
    return _is_of_datasets(value) and hasattr(value, "column_names") and hasattr(value, "__len__")


def is_column(value: object) -> bool:
    """Whether `value` is a column of such a data set."""
    return _is_of_datasets(value) and not hasattr(value, "column_names") and hasattr(value, "__getitem__")


def check_is_one_table(value: object, name: str) -> None:
    """**Raises:** [`treegy.DataError`][] for a dict of data sets, as Hugging Face's `load_dataset` returns."""
    if _is_of_datasets(value) and isinstance(value, Mapping):
        splits = [str(split) for split in cast(Mapping[Any, Any], value)]
        raise DataError(
            f"`{name}` is an instance of {type(value).__name__}, which holds data sets by name: {', '.join(splits)}. "
            f"Pass one of them, as `data[{(splits or ['train'])[0]!r}]`."
        )


def columns(table: Any, name: str) -> Mapping[str, Rows]:
    """Return the columns that the format of a table gives; `name` is what the table is called in errors."""
    table = _Table(_of_arrays(table))
    return {column: Rows(table, column, f"{name}[{column!r}]") for column in table.names}


def as_rows(column: Any, name: str) -> Rows:
    """Return a column of a table. A transform is given whole rows, whichever of its columns is asked for."""
    source, own = getattr(column, "source", None), getattr(column, "column_name", None)
    if own is not None and is_table(source):
        return Rows(_Table(_of_arrays(source, own)), own, name)
    return Rows(column, None, name)


def _of_arrays(table: Any, column: str | None = None) -> Any:
    """Return the table with a format that gives arrays, and of the columns that its own format gives."""
    form = table.format
    if form["type"] == "custom":
        return table
    if form["type"] in _OF_ARRAYS:
        return table if column is None else table.with_format(form["type"], [column], **form["format_kwargs"])
    chosen = [column] if column is not None else form["columns"]
    return table.with_format("numpy", chosen, output_all_columns=column is None and form["output_all_columns"])


class _Table:
    """Rows of a table. All columns of some rows are read at once, so that a random transform is the same for all."""

    def __init__(self, table: Any):
        self._table = table
        self._positions, self._rows, self._taken = b"", dict[str, Any](), set[str]()

    def __len__(self) -> int:
        return len(self._table)

    def read(self, positions: np.ndarray, column: str) -> PyTree:
        """Read what a column holds at some positions: again, if the column has been read there before."""
        key = positions.tobytes()
        if key != self._positions or column in self._taken:
            self._positions, self._rows, self._taken = key, self._table[positions], set()
        self._taken.add(column)
        return self._rows[column]

    @property
    def names(self) -> list[str]:
        """The columns that its format gives, or its transform, which may give other ones than there are."""
        return list(self._table[np.array([0])]) if len(self) else []


def _stacked(values: Any) -> np.ndarray:
    """Return what a table gives for some rows as one array; of objects where the rows differ."""
    if isinstance(values, list) and any(hasattr(value, "__array__") for value in cast(list[Any], values)):
        values = [np.asarray(value) for value in cast(list[Any], values)]
    try:
        return np.asarray(values)
    except ValueError:  # of several lengths
        found = np.empty(len(values), object)
        found[:] = list(values)
        return found


def _holds(dtype: np.dtype[Any], row: Any) -> bool:
    """Whether an array of this dtype holds what is in another one, without changing it."""
    if row.dtype.kind == "O":
        return False
    if np.can_cast(row.dtype, dtype, "same_kind"):
        return row.dtype.kind == dtype.kind or dtype.kind in "fc"
    return bool(np.isfinite(row).all()) and bool((row.astype(dtype) == row).all()) if row.dtype.kind == "f" else False


def _is_of_datasets(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "datasets"
