"""Checkpoints of a run in a directory, by step: each is there as a whole or not at all.

A checkpoint is a document (`_documents.py`) in a directory of its own that is named by the step (`_stored.py`). It is
written by a thread while training continues, under another name that it loses at the end. Nothing is removed but the
files that are written here.
"""

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from .._describe import array_name, is_arraylike, path_name
from .._errors import CheckpointError
from .._paths import anywhere, is_local
from .._placement import placed_like
from .._types import AnyArray, KeyPath, PyTree
from ._differences import told_differences
from ._documents import encoded
from ._layout import ARRAYS, DOCUMENT, AnyPath, is_there
from ._lock import Lock
from ._read_checkpoints import entries_in, explained, read_checkpoint, steps_in
from ._saved import holds_saved
from ._stored import DamagedCheckpoint, Head, read_head, write
from ._sync import sync_directory

_LOCK = ".lock"
_UNFINISHED = re.compile(r"\.(writing|removing)-[0-9]+-[0-9a-f]{16}", re.ASCII)


class Checkpoints:
    """The checkpoints in a directory. No other process can write there in the meantime."""

    def __init__(
        self,
        directory: object,
        keep: int | None = None,
        best: str | None = None,
        kind: str | None = None,
    ):
        """**Arguments:**

        - `directory`: where they are; it is made where it doesn't exist.
        - `keep`: how many; all if `None`.
        - `best`: `"min"` or `"max"`: keep those of the smallest or largest metric value; the last ones if `None`.
        - `kind`: the format of the documents, which others in the directory have to have; any if `None`.

        **Raises:** [`treegy.CheckpointError`][] for a directory that can't be written into, that another process writes
        into, or that holds something else.
        """
        self.directory: AnyPath = anywhere("directory", directory)
        self._keep, self._best = keep, best
        self._lock: Lock | None = None
        with explained(self.directory, "can't be written into"):
            self.directory.mkdir(parents=True, exist_ok=True)
            if isinstance(self.directory, Path):
                self._lock = Lock(self.directory / _LOCK)
        try:
            if is_local(self.directory) and holds_saved(self.directory):
                raise CheckpointError(
                    f"'{self.directory}' holds a model that `save` has written: give checkpoints a directory of their "
                    "own, so that it is known which of them `load` reads."
                )
            with explained(self.directory, "can't be written into"):
                _clean(self.directory)
                self._rescan()
                self._check_kind(kind)
        except BaseException:
            self._release()
            raise
        self._since: int | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, also one that is being written, in their order."""
        return sorted(self._there)

    @property
    def values(self) -> dict[int, float]:
        """The metric values by which the best are found, by step."""
        return {step: value for step, value in sorted(self._there.items()) if value is not None}

    def go_on_from(self, step: int) -> None:
        """Discard checkpoints after `step` at the next save: they are damaged, or of another run."""
        self._since = step

    def save(self, step: int, document: Mapping[str, object], value: float | None = None) -> None:
        """Begin to write a checkpoint, unless there is one of that step.

        **Arguments:**

        - `document`: what is written. Its JAX arrays must not be donated before it is.
        - `value`: the metric value by which the best are found.

        **Raises:** [`treegy.CheckpointError`][] if this one, or the one before it, can't be written.
        """
        self._wait()
        if self._since is not None:
            since, self._since = self._since, None
            self._delete([there for there in self.steps if there > since])
        if step in self._there:
            return
        place = self.directory / str(step)
        with explained(self.directory, "can't be written into"):
            if is_there(place):
                raise CheckpointError(
                    f"'{place}' is in the way of the checkpoint of step {step}: treegy hasn't written it, and doesn't "
                    "remove it. Move it, or give another directory."
                )
        arrays: dict[str, jax.Array | np.ndarray] = {}
        text = encoded(document, arrays)
        for name, array in arrays.items():
            if isinstance(array, jax.Array):
                array.copy_to_host_async()
            else:
                arrays[name] = array.copy()  # somebody may change it before it is written
        self._there[step] = value
        superfluous = self._superfluous()
        kind = document.get("format")
        head = Head(kind if isinstance(kind, str) else None, step, value, None if value is None else self._best)

        def work() -> None:
            try:
                self._write(place, head, text, arrays)
                for each in superfluous:
                    _remove(self.directory, each)
            except BaseException as error:  # raised in the thread that trains, by `_wait`
                self._error = error

        for each in superfluous:
            del self._there[each]
        self._thread = threading.Thread(target=work, name="treegy checkpoint")
        self._thread.start()

    def _superfluous(self) -> list[int]:
        """Return the steps that are one too many, the one that is being written among them."""
        if self._keep is None:
            return []
        if self._best is None:
            return self.steps[: -self._keep]
        ranked = sorted(self.values.items(), key=lambda item: item[1] if self._best == "min" else -item[1])
        return [step for step, _ in ranked[self._keep :]]

    def _write(
        self, place: AnyPath, head: Head, document: object, arrays: Mapping[str, jax.Array | np.ndarray]
    ) -> None:
        if not is_local(place):
            # Stores have neither directories nor names that change: there, the document makes it a whole one.
            place.mkdir(parents=True, exist_ok=True)
            write(place, head, document, arrays)
            return
        unfinished = self.directory / f".writing-{place.name}-{secrets.token_hex(8)}"
        try:
            unfinished.mkdir()
            write(unfinished, head, document, arrays)
            os.rename(unfinished, place)
            sync_directory(self.directory)
        except BaseException:
            with contextlib.suppress(OSError):
                _remove_files(unfinished)
            raise

    def delete_all(self) -> None:
        """Remove all checkpoints."""
        self._wait()
        self._delete(self.steps)

    def _delete(self, steps: list[int]) -> None:
        with explained(self.directory, "can't be written into"):
            for step in steps:
                _remove(self.directory, step)
                del self._there[step]

    def load(self, step: int) -> dict[str, PyTree]:
        """Return the document of a checkpoint.

        **Raises:** [`treegy.CheckpointError`][] if it is damaged.
        """
        return read_checkpoint(self.directory, step)

    def close(self) -> None:
        """Wait until all is written.

        **Raises:** [`treegy.CheckpointError`][] if the last one can't be.
        """
        try:
            self._wait()
        finally:
            self._release()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None  # not before: Ctrl-C may come while it is waited for
        error, self._error = self._error, None
        if error is not None:
            with explained(self.directory, "can't be written into"):
                self._rescan()
                raise error

    def _rescan(self) -> None:
        steps = steps_in(self.directory)
        if is_local(self.directory):
            # What lies behind a link is somebody else's to remove.
            steps = [step for step in steps if not os.path.islink(self.directory / str(step))]
        self._there: dict[int, float | None] = dict.fromkeys(steps)
        for step in self._there if self._best is not None else ():
            with contextlib.suppress(CheckpointError):
                self._there[step] = read_head(self.directory / str(step), step).value

    def _check_kind(self, kind: str | None) -> None:
        if kind is None or not self._there:
            return
        with contextlib.suppress(DamagedCheckpoint):
            found = read_head(self.directory / str(self.steps[-1]), self.steps[-1]).kind
            if found != kind:
                raise CheckpointError(
                    f"'{self.directory}' holds checkpoints of another kind ({found!r:.50}, and here these would be "
                    f"{kind!r}): give models and backups directories of their own."
                )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _remove(directory: AnyPath, step: int) -> None:
    """Remove a checkpoint. What else somebody has put into its directory stays."""
    place = directory / str(step)
    if is_local(place) and {p.name for p in place.iterdir()} <= {DOCUMENT, ARRAYS}:
        # Under another name first: who is killed meanwhile leaves no part of a checkpoint.
        unfinished = directory / f".removing-{step}-{secrets.token_hex(8)}"
        os.rename(place, unfinished)
        place = unfinished
    _remove_files(place)


def _remove_files(place: AnyPath) -> None:
    for name in (DOCUMENT, ARRAYS):
        file = place / name
        if is_there(file):
            file.unlink()
    with contextlib.suppress(OSError):  # there is something of somebody else's in it
        place.rmdir()


def _clean(directory: AnyPath) -> None:
    """Remove what processes have left that were killed while they wrote or removed a checkpoint."""
    for place in entries_in(directory):
        if _UNFINISHED.fullmatch(place.name) and place.is_dir():
            _remove_files(place)


def named_arrays(tree: PyTree) -> dict[str, AnyArray]:
    """Return the arrays of a PyTree by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_name(path): leaf for path, leaf in leaves if is_arraylike(leaf)}


def with_named_arrays(tree: PyTree, arrays: Mapping[str, AnyArray], what: str) -> PyTree:
    """Return `tree` with other arrays, by their paths.

    **Raises:** [`treegy.CheckpointError`][] if they aren't of the same paths, shapes and dtypes.
    """
    # Some may be shapes alone, as those of optimizer states are before there are any.
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    here = {path_name(path): array_name(leaf) for path, leaf in leaves if is_arraylike(leaf)}
    differences = told_differences(here, {name: array_name(array) for name, array in arrays.items()}, "checkpoint")
    if differences:
        raise CheckpointError(f"{what} belongs to another model:\n{differences}")

    def put(path: KeyPath, leaf: PyTree) -> PyTree:
        if not is_arraylike(leaf):
            return leaf
        return placed_like(leaf, arrays[path_name(path)])

    return jax.tree_util.tree_map_with_path(put, tree)
