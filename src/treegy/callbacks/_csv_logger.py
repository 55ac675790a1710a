"""`CSVLogger`: the metric values of every epoch in a file."""

import csv
import errno
import io
import os

import numpy as np

from .._checks import flag
from .._describe import describe
from .._errors import DataError
from .._loop._callback import Logs
from .._paths import local
from .._types import Values
from .._warn import warn
from ._epoch_logger import EpochLogger


class CSVLogger(EpochLogger):
    """Write the metric values of every epoch into a CSV file, a row each.

    Columns that come up later, such as those of a validation that isn't due in the first epoch, are added; cells
    without a value stay empty. Values that aren't scalars are written as lists in brackets. A metric called `epoch` is
    the column `epoch_1`, beside that of the epochs. `evaluate` has no epochs, and so writes nothing.

    A run that [`treegy.callbacks.BackupAndRestore`][] resumes keeps its rows; repeated epochs are there once. A file
    that can't be written is warned of, once; the run continues, and the rows are written when they can be.

    **Raises:** [`treegy.DataError`][] when training begins if the file is to be appended to and is something else.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        """**Arguments:**

        - `filename`: of the file.
        - `separator`: between columns.
        - `append`: whether the rows of a file that is there already are kept, before those of this run; else they are
            replaced.
        """
        super().__init__()
        self._path = local("filename", filename)
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"`separator` is {describe(separator)}; one character is expected.")
        self._separator = separator
        self._append = flag("append", append)
        self._forget()

    def _forget(self) -> None:
        self._columns: list[str] = ["epoch"]
        self._rows: list[dict[str, str]] = []
        # How many of them are of earlier runs; how many are in the file, and how many bytes it has then.
        self._kept = self._written = self._size = 0
        self._is_there = False
        self._header: list[str] = []

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self._forget()
        if self._append:
            with self._loss.of(f"read '{self._path}'", OSError):
                self._rows = self._read()
                self._kept = len(self._rows)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        # Not before: now it is known whether the run resumes, and its rows are those that are there.
        if not self._is_there:
            self._write_if_it_can()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        names = column_names(logs)
        row = {"epoch": str(epoch), **{names[name]: _cell(value) for name, value in logs.items()}}
        self._columns += [name for name in row if name not in self._columns]
        self._rows.append(row)
        self._write_if_it_can()

    def state(self) -> Values:
        return {"kept": self._kept, "rows": len(self._rows) - self._kept, "columns": self._columns}

    def restore(self, state: Values) -> None:
        rows = list[dict[str, str]]()
        with self._loss.of(f"read '{self._path}'"):
            rows = self._read()
        self._columns = list(state["columns"])
        self._kept, there = state["kept"], state["kept"] + state["rows"]
        self._rows = rows[:there]
        if len(self._rows) < there:
            warn(f"'{self._path}' has fewer rows than the run had written: {there - len(self._rows)} are missing.")
            self._kept = min(self._kept, len(self._rows))
        self._is_there = False

    def _read(self) -> list[dict[str, str]]:
        """Return the rows of the file, if there is one, of which the columns are those of this run from now on.

        **Raises:** [`treegy.DataError`][] if it is something else.
        """
        if not self._path.exists():
            return []
        try:
            with self._path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, delimiter=self._separator)
                rows = list(reader)
                columns = list(reader.fieldnames or ["epoch"])
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"'{self._path}' is no CSV file to append to: {error}") from error
        if "epoch" not in columns:
            raise DataError(
                f"'{self._path}' was not written with the separator {self._separator!r}, or is something else: it "
                "has no column `epoch`."
            )
        self._columns = columns
        return rows

    def _write_if_it_can(self) -> None:
        # The run is worth more than a file, and the next epoch writes what this one can't.
        with self._loss.of(f"write '{self._path}'"):
            if self._is_there and self._header == self._columns and self._path.stat().st_size == self._size:
                self._add()
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._write()
            self._written = len(self._rows)

    def _add(self) -> None:
        """Add the rows that aren't in the file yet. Of one that can't be written whole, the file keeps nothing."""
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", delimiter=self._separator).writerows(
            self._rows[self._written :]
        )
        content = text.getvalue().encode()
        with self._path.open("r+b", buffering=0) as file:
            file.seek(self._size)
            try:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except BaseException:
                file.truncate(self._size)
                raise
        self._size += len(content)

    def _write(self) -> None:
        # Whole, and then in place of the old one.
        part = self._path.with_name(self._path.name + ".part")
        try:
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self._columns, restval="", delimiter=self._separator)
                writer.writeheader()
                writer.writerows(self._rows)
            size = part.stat().st_size
            os.replace(part, self._path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._size, self._header, self._is_there = size, list(self._columns), True


def column_names(logs: Values) -> dict[str, str]:
    """Return the column of each metric value: its name, unless that is the column of the epochs."""
    found: dict[str, str] = {}
    for name in logs:
        new, i = name, 0
        while new == "epoch" or (i and (new in logs or new in found.values())):
            i += 1
            new = f"{name}_{i}"
        found[name] = new
    return found


def _cell(value: object) -> str:
    array = np.asarray(value)
    return repr(float(array)) if array.ndim == 0 else str(array.tolist())
