"""One checkpoint on disk: a document in JSON, and the bytes of its arrays, every shard of which has a digest.

What is read has been compared with its digest, byte for byte, or is an error. Nothing in it can be executed.
"""

import errno
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from .._errors import CheckpointError
from .._paths import is_local
from .._types import PyTree
from ._documents import Described, decoded, stored_arrays
from ._layout import ARRAYS, DOCUMENT, AnyFile, AnyPath
from ._sync import sync_directory, sync_file

# What says nothing about the checkpoint: another one would not be read either, or this one could be later.
_PASSING = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT, errno.ESTALE}
_FORMAT, _VERSION = "treegy checkpoint", 1


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that can't be read, whoever tries: the one before it may be whole."""


class Head(NamedTuple):
    """What is known of a checkpoint without reading its document."""

    kind: str | None
    """The format of the document."""
    step: int
    value: float | None
    """The metric value by which the best are found."""
    best: str | None
    """Which of them are the best, `min` or `max`; `None` where checkpoints aren't kept by them."""


@dataclass(frozen=True)
class _Shard:
    """A part of an array, and where its bytes are."""

    index: Sequence[Sequence[int]]
    """`[start, stop]` for each axis."""
    offset: int
    bytes: int
    sha256: str


class _Content(NamedTuple):
    """What a checkpoint holds besides the bytes of its arrays."""

    head: Head
    length: int
    """How many bytes there are."""
    shards: Mapping[str, list[_Shard]]
    """The parts of each array, by its name."""
    document: object


def write(place: AnyPath, head: Head, document: object, arrays: Mapping[str, jax.Array | np.ndarray]) -> None:
    """Write a checkpoint into a directory that holds none.

    **Arguments:**

    - `head`: what is read of it without its document.
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
        **head._asdict(),
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


def read_head(place: AnyPath, step: int) -> Head:
    """Return what is known of a checkpoint without its document.

    **Raises:** [`treegy.CheckpointError`][] if it is of another treegy or can't be opened, `DamagedCheckpoint` if it
    isn't what was written, or was written as that of another step.
    """
    return _read_content(place, step).head


def _read_content(place: AnyPath, step: int) -> _Content:
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
        head = Head(content["kind"], step, float(content["value"]) if number else None, content["best"])
        shards = {name: [_Shard(**shard) for shard in of_one] for name, of_one in content["arrays"].items()}
        return _Content(head, content["bytes"], shards, content["document"])


def read(place: AnyPath, step: int) -> dict[str, PyTree]:
    """Return the document of a checkpoint, with its arrays.

    **Raises:** as `read_head`.
    """
    content = _read_content(place, step)
    with reading(place):
        document = decoded(content.document, _read_arrays(place / ARRAYS, content))
        if not isinstance(document, dict):
            raise ValueError("its document is none")
        return document


class reading:
    """Raise what goes wrong while a checkpoint is read as errors that name it."""

    def __init__(self, place: AnyPath):
        self._place = place

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, DamagedCheckpoint) or error is None:
            return
        passing = isinstance(error, OSError) and error.errno in _PASSING
        if passing or isinstance(error, CheckpointError | MemoryError):
            raise CheckpointError(f"The checkpoint '{self._place}' can't be read: {error}") from error
        if isinstance(error, Exception) and not isinstance(error, jax.errors.JaxRuntimeError):
            what = f"{type(error).__name__}: {error}"[:500]
            raise DamagedCheckpoint(f"The checkpoint '{self._place}' is damaged: {what}") from error


def _sync(file: AnyFile, place: AnyPath) -> None:
    if is_local(place):
        sync_file(file)


def _checksum(content: Mapping[str, object]) -> str:
    # Not sorted: the order of names is a part of what is kept.
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _parts(array: jax.Array | np.ndarray) -> Iterator[tuple[list[list[int]], jax.Array | np.ndarray]]:
    """Yield the parts of an array with the index of each, `[start, stop]` for each axis; of copies one."""
    if not isinstance(array, jax.Array):
        yield [[0, n] for n in array.shape], array
        return
    for shard in array.addressable_shards:
        if shard.replica_id == 0:
            bounds = [s.indices(n)[:2] for s, n in zip(shard.index, array.shape, strict=True)]
            yield [list(pair) for pair in bounds], shard.data


def _write_arrays(
    arrays: Mapping[str, jax.Array | np.ndarray], file: AnyFile
) -> tuple[dict[str, list[dict[str, object]]], int]:
    """Write the bytes of arrays, and return where those of each are and how many there are in all."""
    described: dict[str, list[dict[str, object]]] = {}
    known: dict[str, int] = {}
    length = 0
    for name, array in arrays.items():
        shards: list[dict[str, object]] = []
        for index, part in _parts(array):
            # Waits for the device, and copies from it.
            content = np.ascontiguousarray(np.asarray(part)).reshape(-1).view(np.uint8).data
            digest = hashlib.sha256(content).hexdigest()
            # The same bytes are written once: an average of parameters may be there twice.
            if digest not in known:
                known[digest] = length
                file.write(content)
                length += len(content)
            shards.append(vars(_Shard(index, known[digest], len(content), digest)))
        described[name] = shards
    return described, length


def _read_arrays(path: AnyPath, content: _Content) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        size = file.tell()
        if size != content.length:
            raise ValueError(f"'{ARRAYS}' has {size} bytes where {content.length} were written")
        expected = stored_arrays(content.document)
        return {each.name: _read_array(file, each, content.shards[each.name]) for each in expected}


def _read_array(file: AnyFile, expected: Described, shards: Sequence[_Shard]) -> np.ndarray:
    array: np.ndarray | None = None
    covered = 0
    for shard in shards:
        file.seek(shard.offset)
        found = file.read(shard.bytes)
        if hashlib.sha256(found).hexdigest() != shard.sha256:
            raise ValueError(f"the bytes of array {expected.name} in '{ARRAYS}' are not those that were written")
        part = tuple(stop - start for start, stop in shard.index)
        values = np.ndarray(part, expected.dtype, bytearray(found))
        covered += math.prod(part)
        if part == expected.shape:
            array = values
            continue
        array = np.empty(expected.shape, expected.dtype) if array is None else array
        array[tuple(slice(start, stop) for start, stop in shard.index)] = values
    if array is None or covered != math.prod(expected.shape):
        raise ValueError(f"array {expected.name} is not there as a whole")
    return array
