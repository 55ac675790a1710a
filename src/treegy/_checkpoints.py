"""Checkpoints of a run in a directory, by step: each is there as a whole or not at all. Kept by Orbax.

A checkpoint is a document (`_documents.py`). Orbax writes its arrays, in a thread of its own while training goes on,
and the rest as JSON.
"""

import json
import logging
import os
import traceback
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from ._describe import array_name, is_arraylike, path_name
from ._documents import decoded, encoded, stored_arrays
from ._errors import CheckpointError
from ._lock import Lock
from ._save import placed_like

_LOCK = ".lock"
_ORBAX = os.path.join("orbax", "checkpoint")


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that can't be read, whoever tries: the one before it may be whole."""


class Checkpoints:
    """The checkpoints in a directory. No other process can write there in the meantime."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        keep: int | None = None,
        best: str | None = None,
    ):
        """**Arguments:**

        - `directory`: where they are; it is made where it doesn't exist.
        - `keep`: how many; all if `None`.
        - `best`: `"min"` or `"max"`: keep those of the smallest or largest figure; the last ones if `None`.

        **Raises:** `ImportError` without orbax-checkpoint, [`treegy.CheckpointError`][] for a directory that can't be
        written into, or that another process writes into.
        """
        self.directory = Path(directory).absolute()
        ocp = _orbax()
        with _explained(self.directory, "can't be written into"):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.directory / _LOCK)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            best_fn=None if best is None else lambda metrics: metrics["figure"],
            best_mode=best or "min",
            keep_checkpoints_without_metrics=False,
            cleanup_tmp_directories=True,
        )
        try:
            with _explained(self.directory, "can't be written into"):
                self._manager = ocp.CheckpointManager(self.directory, options=options)
        except BaseException:
            self._lock.release()
            raise
        self._since: int | None = None

    @property
    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, in their order."""
        return sorted(self._manager.all_steps())

    def go_on_from(self, step: int) -> None:
        """Those of later steps are damaged, or of another course of things: the next `save` removes them."""
        self._since = step

    def save(self, step: int, document: Mapping[str, Any], figure: float | None = None) -> None:
        """Begin to write a checkpoint, unless there is one of that step.

        **Arguments:**

        - `document`: what is written. Its arrays must not be donated later.
        - `figure`: by which the best are found.

        **Raises:** [`treegy.CheckpointError`][] if this one, or the one before it, can't be written.
        """
        ocp = _orbax()
        if self._since is not None:
            since, self._since = self._since, None
            self._delete([there for there in self.steps if there > since])
        if step in self._manager.all_steps():
            return
        arrays: dict[str, Any] = {}
        text = json.dumps(encoded(document, arrays))
        items = {"document": ocp.args.JsonSave({"text": text, "checksum": zlib.crc32(text.encode())})}
        if arrays:
            items["arrays"] = ocp.args.StandardSave(arrays)
        metrics = None if figure is None else {"figure": figure}
        with _explained(self.directory, "can't be written into"):
            self._manager.check_for_errors()
            self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics)

    def delete_all(self) -> None:
        self._delete(self.steps)

    def _delete(self, steps: list[int]) -> None:
        with _explained(self.directory, "can't be written into"):
            # What is still being written can't be deleted.
            self._manager.wait_until_finished()
            for step in steps:
                self._manager.delete(step)

    def load(self, step: int) -> dict[str, Any]:
        """The document of a checkpoint.

        **Raises:** [`treegy.CheckpointError`][] if it is damaged.
        """
        return read_checkpoint(self.directory, step)

    def close(self) -> None:
        """Wait until all is written.

        **Raises:** [`treegy.CheckpointError`][] if the last one can't be.
        """
        try:
            with _explained(self.directory, "can't be written into"):
                self._manager.wait_until_finished()
                self._manager.check_for_errors()
        finally:
            self._manager.close()
            self._lock.release()


def steps_in(directory: str | os.PathLike[str]) -> list[int]:
    """The steps of which a directory has checkpoints."""
    path = Path(directory)
    if not path.is_dir():
        return []
    # Orbax writes into a directory of another name first.
    return sorted(int(p.name) for p in path.iterdir() if p.name.isdigit() and (p / "document").is_dir())


def read_checkpoint(directory: str | os.PathLike[str], step: int) -> dict[str, Any]:
    """The document of a checkpoint; nothing is written.

    **Raises:** [`treegy.CheckpointError`][] if it isn't there, or is damaged.
    """
    ocp = _orbax()
    path = Path(directory).absolute() / str(step)
    if not path.is_dir():
        raise CheckpointError(f"There is no checkpoint of step {step} in '{directory}'.")
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            found = reader.restore(path, args=ocp.args.Composite(document=ocp.args.JsonRestore()))["document"]
            text = found["text"]
            if zlib.crc32(text.encode()) != found["checksum"]:
                raise ValueError("its text is not what was written")
            document = json.loads(text)
            arrays: Any = stored_arrays(document)
            if arrays:
                restored = reader.restore(path, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(arrays)))
                arrays = restored["arrays"]
            return decoded(document, arrays)
    except CheckpointError as error:
        raise CheckpointError(f"The checkpoint '{path}' can't be read: {error}") from None
    except PermissionError as error:
        raise CheckpointError(f"The checkpoint '{path}' can't be read: {error}") from error
    except Exception as error:
        raise DamagedCheckpoint(f"The checkpoint '{path}' is damaged: {type(error).__name__}: {error}") from error


def named_arrays(tree: Any) -> dict[str, Any]:
    """The arrays of a PyTree by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_name(path): leaf for path, leaf in leaves if is_arraylike(leaf)}


def with_named_arrays(tree: Any, arrays: Mapping[str, Any], what: str) -> Any:
    """`tree` with other arrays, by their paths.

    **Raises:** [`treegy.CheckpointError`][] if they aren't of the same paths, shapes and dtypes.
    """
    here = named_arrays(tree)
    lines = [f"only here: {n}: {array_name(a)}" for n, a in here.items() if n not in arrays]
    lines += [f"only in the checkpoint: {n}: {array_name(a)}" for n, a in arrays.items() if n not in here]
    lines += [
        f"{n}: {array_name(a)} here, {array_name(arrays[n])} in the checkpoint"
        for n, a in here.items()
        if n in arrays and (a.shape != arrays[n].shape or a.dtype != arrays[n].dtype)
    ]
    if lines:
        shown = "\n".join(f"  {line}" for line in lines[:10])
        raise CheckpointError(f"{what} belongs to another model:\n{shown}")

    def put(path: Any, leaf: Any) -> Any:
        if not is_arraylike(leaf):
            return leaf
        return placed_like(leaf, arrays[path_name(path)])

    return jax.tree_util.tree_map_with_path(put, tree)


class _explained:
    """Errors of the file system as a `CheckpointError` that names the directory."""

    def __init__(self, directory: Path, what: str):
        self._directory, self._what = directory, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, CheckpointError):
            return
        if isinstance(error, OSError | ValueError | RuntimeError):
            text = str(error).partition("\n")[0]
            raise CheckpointError(f"'{self._directory}' {self._what}: {text}") from error


def _orbax() -> Any:
    try:
        import orbax.checkpoint as ocp
    except ImportError as error:
        raise ImportError('Checkpoints are kept by Orbax: pip install "treegy[checkpoint]"') from error
    logging.getLogger("absl").addFilter(_is_news)
    logging.getLogger("asyncio").addFilter(_is_news)
    return ocp


def _is_news(record: logging.LogRecord) -> bool:
    # Orbax tells each of its steps. When several of its threads fail, one error is raised here, and of all of them
    # Orbax or asyncio tells.
    files = [record.pathname]
    if record.exc_info:
        files += [frame.filename for frame in traceback.extract_tb(record.exc_info[2])]
    return record.levelno == logging.WARNING or not any(_ORBAX in file for file in files)
