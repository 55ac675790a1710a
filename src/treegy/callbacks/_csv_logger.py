"""`CSVLogger`: the figures of every epoch in a file."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from .._callback import Callback, Logs
from .._errors import DataError


class CSVLogger(Callback):
    """Write the figures of every epoch into a CSV file, a row each.

    Columns that come up later, such as those of a validation that isn't due in the first epoch, are added; cells
    without a figure stay empty. Figures that aren't scalars are written as lists in brackets.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        """**Arguments:**

        - `filename`: of the file.
        - `separator`: between columns.
        - `append`: whether to go on with a file that is there, as after an interruption; else it is written anew.
        """
        self._path = Path(filename)
        self._separator = separator
        self._append = append
        self._columns: list[str] = []
        self._rows: list[dict[str, str]] = []

    def on_train_begin(self, logs: Logs) -> None:
        self._columns, self._rows = ["epoch"], []
        if self._append and self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, delimiter=self._separator)
                self._rows = list(reader)
                self._columns = list(reader.fieldnames or ["epoch"])
            if "epoch" not in self._columns:
                raise DataError(
                    f"'{self._path}' was not written with the separator {self._separator!r}, or is something else: it "
                    "has no column `epoch`."
                )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._write()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        # An epoch that is repeated after an interruption replaces what was written of it.
        self._rows = [row for row in self._rows if int(row["epoch"]) != epoch]
        row = {"epoch": str(epoch), **{name: _cell(value) for name, value in logs.items()}}
        new = [name for name in row if name not in self._columns]
        self._columns += new
        self._rows.append(row)
        self._write()

    def _write(self) -> None:
        # Whole, and then in place of the old one: there is never half a row.
        part = self._path.with_name(self._path.name + ".part")
        try:
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self._columns, restval="", delimiter=self._separator)
                writer.writeheader()
                writer.writerows(self._rows)
            os.replace(part, self._path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _cell(value: Any) -> str:
    array = np.asarray(value)
    return repr(float(array)) if array.ndim == 0 else str(array.tolist())
