"""Columns of a table that are read by positions, such as those of Hugging Face's data sets."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from .._errors import DataError


class Rows:
    """A column as an array whose examples are read when they are needed."""

    def __init__(self, column: Any, start: int = 0, stop: int | None = None):
        """**Arguments:**

        - `column`: gives the examples at some positions, `column[positions]`.
        - `start`, `stop`: which part of it.
        """
        self._column = column
        self._start = start
        self._stop = len(column) if stop is None else stop
        probe = np.asarray(column[[start]]) if self._stop > start else np.zeros(0)
        self.dtype = probe.dtype
        self.shape = (self._stop - start, *probe.shape[1:])
        self.ndim = probe.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, start: int, stop: int) -> "Rows":
        """The examples from `start` to `stop`, unread."""
        return Rows(self._column, self._start + start, min(self._start + stop, self._stop))

    def read(self, positions: Any) -> Any:
        """The examples at some positions."""
        return np.asarray(self._column[np.asarray(positions, np.int64) + self._start])

    def __getitem__(self, rows: slice) -> Any:
        return self.read(np.arange(*rows.indices(len(self))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        read = self[:]
        return read if dtype is None else read.astype(dtype)


def is_table(value: Any) -> bool:
    """Whether `value` is a data set of Hugging Face's with columns that can be read at any position.

    Not those that are streamed, which have no length, nor a dict of data sets.
    """
    return _is_of_datasets(value) and hasattr(value, "column_names") and hasattr(value, "__len__")


def is_column(value: Any) -> bool:
    """Whether `value` is a column of such a data set."""
    return _is_of_datasets(value) and not hasattr(value, "column_names") and hasattr(value, "__getitem__")


def check_is_one_table(value: Any, name: str) -> None:
    """**Raises:** [`treegy.DataError`][] for a dict of data sets, as Hugging Face's `load_dataset` returns."""
    if _is_of_datasets(value) and isinstance(value, Mapping):
        splits = [str(split) for split in cast(Mapping[Any, Any], value)]
        raise DataError(
            f"`{name}` is an instance of {type(value).__name__}, which holds data sets by name: {', '.join(splits)}. "
            f"Pass one of them, as `data[{(splits or ['train'])[0]!r}]`."
        )


def columns(table: Any) -> Mapping[str, Rows]:
    """The columns of a table, by their names."""
    numpy = table.with_format("numpy")
    return {name: Rows(_Column(numpy.select_columns([name]), name)) for name in table.column_names}


def as_rows(column: Any) -> Rows:
    return Rows(column)


class _Column:
    """One column of a table that holds no other."""

    def __init__(self, table: Any, name: str):
        self._table, self._name = table, name

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, positions: Any) -> Any:
        return self._table[positions][self._name]


def _is_of_datasets(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "datasets"
