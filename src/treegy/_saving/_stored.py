"""One checkpoint on disk: a document in JSON, and the bytes of its arrays, every shard of which has a digest.

What is read has been compared with its digest, byte for byte, or is an error. Nothing in it can be executed.
"""

import errno
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._errors import CheckpointError
from .._paths import is_local
from ._documents import array_dtype, decoded, stored_arrays
from ._layout import ARRAYS, DOCUMENT
from ._sync import sync_directory, sync_file

# What says nothing about the checkpoint: another one would not be read either, or this one could be later.
_PASSING = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT, errno.ESTALE}
_FORMAT, _VERSION = "treegy checkpoint", 1


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that can't be read, whoever tries: the one before it may be whole."""


def write(place: Any, head: Mapping[str, Any], document: Any, arrays: Mapping[str, Any]) -> None:
    """Write a checkpoint into a directory that holds none.

    **Arguments:**

    - `head`: what is known of it without reading its arrays.
    - `document`, `arrays`: of `encoded`.

    **Raises:** `OSError` if it can't be written.
    """
    with (place / ARRAYS).open("wb") as file:
        described, length = _write_arrays(arrays, file)
        _sync(file, place)
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "byteorder": sys.byteorder,
        **head,
        "bytes": length,
        "arrays": described,
        "document": document,
    }
    # Last: where nothing can be renamed, this is what makes the checkpoint a whole one.
    with (place / DOCUMENT).open("wb") as file:
        file.write(json.dumps({**content, "checksum": _checksum(content)}).encode())
        _sync(file, place)
    if is_local(place):
        sync_directory(place)


def read_head(place: Any, step: int) -> dict[str, Any]:
    """All of a checkpoint but its arrays, whose digests are among it.

    **Raises:** [`treegy.CheckpointError`][] if it is of another treegy or can't be opened, `DamagedCheckpoint` if it
    isn't what was written, or was written as that of another step.
    """
    with reading(place):
        content = json.loads((place / DOCUMENT).read_bytes())
        checksum = content.pop("checksum", None) if isinstance(content, dict) else None
        if checksum is None or checksum != _checksum(content):
            raise ValueError(f"the content of '{DOCUMENT}' is not what was written")
        if content["format"] != _FORMAT or type(content["version"]) is not int:
            raise ValueError(f"'{DOCUMENT}' has the format {content['format']!r:.50}")
        if content["version"] > _VERSION:
            raise CheckpointError(f"it has version {content['version']}, of a newer treegy: install that.")
        if content["byteorder"] != sys.byteorder:
            raise CheckpointError(f"it comes from a machine with another order of bytes ({content['byteorder']}).")
        if content["step"] != step or type(content["step"]) is not int:
            raise ValueError(f"it was written as that of step {content['step']!r:.50}")
        number = type(content["value"]) in (int, float)
        if not number and content["value"] is not None or content["best"] not in ("min", "max") * number + (None,):
            raise ValueError("its metric value is none")
        return content


def read(place: Any, step: int) -> Any:
    """The document of a checkpoint, with its arrays.

    **Raises:** as `read_head`.
    """
    content = read_head(place, step)
    with reading(place):
        document = decoded(content["document"], _read_arrays(place / ARRAYS, content))
        if not isinstance(document, dict):
            raise ValueError("its document is none")
        return document


class reading:
    """What goes wrong while a checkpoint is read, as errors that name it."""

    def __init__(self, place: Any):
        self._place = place

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, DamagedCheckpoint) or error is None:
            return
        passing = isinstance(error, OSError) and error.errno in _PASSING
        if passing or isinstance(error, CheckpointError | MemoryError):
            raise CheckpointError(f"The checkpoint '{self._place}' can't be read: {error}") from error
        if isinstance(error, Exception) and not isinstance(error, jax.errors.JaxRuntimeError):
            what = f"{type(error).__name__}: {error}"[:500]
            raise DamagedCheckpoint(f"The checkpoint '{self._place}' is damaged: {what}") from error


def _sync(file: Any, place: Any) -> None:
    if is_local(place):
        sync_file(file)


def _checksum(content: dict[str, Any]) -> str:
    # Not sorted: the order of names is a part of what is kept.
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _shards(array: Any) -> Iterator[tuple[list[list[int]], Any]]:
    """The parts of an array as `(index, part)`, each once: an index is `[start, stop]` for each axis."""
    if not isinstance(array, jax.Array):
        yield [[0, n] for n in array.shape], array
        return
    for shard in array.addressable_shards:
        if shard.replica_id == 0:
            bounds = [s.indices(n)[:2] for s, n in zip(shard.index, array.shape, strict=True)]
            yield [list(pair) for pair in bounds], shard.data


def _write_arrays(arrays: Mapping[str, Any], file: Any) -> tuple[dict[str, Any], int]:
    described: dict[str, Any] = {}
    known: dict[str, int] = {}
    length = 0
    for name, array in arrays.items():
        shards: list[Any] = []
        for index, part in _shards(array):
            # Waits for the device, and copies from it.
            content = np.ascontiguousarray(np.asarray(part)).reshape(-1).view(np.uint8).data
            digest = hashlib.sha256(content).hexdigest()
            # The same bytes are written once: an average of parameters may be there twice.
            if digest not in known:
                known[digest] = length
                file.write(content)
                length += len(content)
            shards.append({"index": index, "offset": known[digest], "bytes": len(content), "sha256": digest})
        described[name] = shards
    return described, length


def _read_arrays(path: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    expected = stored_arrays(content["document"])
    arrays: dict[str, Any] = {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size if isinstance(path, Path) else path.stat().length
        if size != content["bytes"]:
            raise ValueError(f"'{ARRAYS}' has {size} bytes where {content['bytes']} were written")
        for name, meta in expected.items():
            shape, dtype = tuple(meta["shape"]), array_dtype(meta)
            shards = content["arrays"][name]
            array: Any = None
            covered = 0
            for shard in shards:
                file.seek(shard["offset"])
                found = file.read(shard["bytes"])
                if hashlib.sha256(found).hexdigest() != shard["sha256"]:
                    raise ValueError(f"the bytes of array {name} in '{ARRAYS}' are not those that were written")
                part = tuple(stop - start for start, stop in shard["index"])
                values: Any = np.ndarray(part, dtype, bytearray(found))
                covered += math.prod(part)
                if part == shape:
                    array = values
                    continue
                array = np.empty(shape, dtype) if array is None else array
                array[tuple(slice(start, stop) for start, stop in shard["index"])] = values
            if array is None or covered != math.prod(shape):
                raise ValueError(f"array {name} is not there as a whole")
            arrays[name] = array
    return arrays
