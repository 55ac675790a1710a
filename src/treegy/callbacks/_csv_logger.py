"""`CSVLogger`: the figures of every epoch in a file."""

import csv
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._callback import Callback, Logs
from .._describe import describe
from .._errors import DataError
from .._places import local
from ..loop._arguments import flag
from ._forgiven import Loss


class CSVLogger(Callback):
    """Write the figures of every epoch into a CSV file, a row each.

    Columns that come up later, such as those of a validation that isn't due in the first epoch, are added; cells
    without a figure stay empty. Figures that aren't scalars are written as lists in brackets.

    A training that [`treegy.callbacks.BackupAndRestore`][] goes on with keeps its rows, and repeated epochs are there
    once. A file that can't be written while training goes on is warned of, once, and written when it can be.

    **Raises:** `OSError` if it can't be written when training begins, and [`treegy.DataError`][] if it is to be gone on
    with and is something else.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        """**Arguments:**

        - `filename`: of the file.
        - `separator`: between columns.
        - `append`: whether the rows of a file that is there already are kept, before those of this training; else it is
            written anew.
        """
        self._path = local("filename", filename)
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"`separator` is {describe(separator)}; one character is expected.")
        self._separator = separator
        self._append = flag("append", append)
        self._loss = Loss("CSVLogger")
        self._columns: list[str] = []
        self._kept: list[dict[str, str]] = []
        self._rows: list[dict[str, str]] = []

    def on_train_begin(self, logs: Logs) -> None:
        self._columns, self._kept, self._rows = ["epoch"], [], []
        self._loss = Loss("CSVLogger")
        if self._append and self._path.exists():
            try:
                with self._path.open(newline="", encoding="utf-8") as file:
                    reader = csv.DictReader(file, delimiter=self._separator)
                    self._kept = list(reader)
                    self._columns = list(reader.fieldnames or ["epoch"])
            except (UnicodeDecodeError, csv.Error) as error:
                raise DataError(f"'{self._path}' is no CSV file to append to: {error}") from error
            if "epoch" not in self._columns:
                raise DataError(
                    f"'{self._path}' was not written with the separator {self._separator!r}, or is something else: it "
                    "has no column `epoch`."
                )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            text = f"`CSVLogger` can't write its file: {error.strerror}"
            raise OSError(error.errno, text, str(self._path)) from error

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        row = {"epoch": str(epoch), **{name: _cell(value) for name, value in logs.items()}}
        self._columns += [name for name in row if name not in self._columns]
        self._rows.append(row)
        self._write_if_it_can()

    def state(self) -> Mapping[str, Any]:
        rows = [[row.get(name, "") for name in self._columns] for row in self._rows]
        return {"kept": len(self._kept), "columns": self._columns, "rows": rows}

    def restore(self, state: Mapping[str, Any]) -> None:
        # Of what is in the file, all after the rows of earlier trainings is of this one.
        self._kept = self._kept[: state["kept"]]
        self._columns += [name for name in state["columns"] if name not in self._columns]
        self._rows = [dict(zip(state["columns"], row, strict=True)) for row in state["rows"]]
        self._write_if_it_can()

    def _write_if_it_can(self) -> None:
        # The run is worth more than a file, and the next epoch writes all of it.
        with self._loss.of(f"write '{self._path}'", OSError):
            self._write()

    def _write(self) -> None:
        # Whole, and then in place of the old one: there is never half a row.
        part = self._path.with_name(self._path.name + ".part")
        try:
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self._columns, restval="", delimiter=self._separator)
                writer.writeheader()
                writer.writerows([*self._kept, *self._rows])
            os.replace(part, self._path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _cell(value: Any) -> str:
    array = np.asarray(value)
    return repr(float(array)) if array.ndim == 0 else str(array.tolist())
