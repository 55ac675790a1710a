"""A PyTree's arrays in a directory: a manifest in JSON and one file of raw bytes. Nothing in them can be executed."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

from .._errors import CheckpointError
from .._paths import local as local_path
from .._sharding._exchange import exchanged, first_does
from .._sharding._placing import local
from .._sharding._processes import is_first
from .._sharding._strategy import Strategy
from .._types import AnyArray, KeyPath, PyTree
from ._layout import AnyPath, is_checkpoint
from ._leaves import Leaf, as_leaf, names_of, write_leaves
from ._skeleton import Skeleton, skeleton_of
from ._sync import sync_directory, sync_file

_VERSION = 1
MANIFEST = "manifest.json"
DATA = re.compile(r"data-[0-9a-f]{32}\.bin")
_OURS = re.compile(r"data-[0-9a-f]{32}\.bin|manifest-[0-9a-f]{32}\.tmp")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a directory holds. Each kind has a manifest of another name, so that none is taken for another."""

    format: str
    manifest: str
    what: str
    """What it is called in errors."""
    reader: str
    """What reads it."""


TREE = Kind("treegy tree", MANIFEST, "saved model", "`model.load`")
EXPORTED = Kind("treegy exported model", "exported.json", "exported model", "`tg.load_exported`")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is written about the arrays beside them."""

    data: str
    """The name of the file that they are in."""
    length: int
    leaves: tuple[Leaf, ...]
    skeleton: Skeleton
    initialized: bool
    written_with: Mapping[str, object]
    """The versions of the packages that it was written with."""


def save_tree(tree: PyTree, path: object, initialized: bool = True, strategy: Strategy | None = None) -> None:
    """Write the arrays of a PyTree into a directory, replacing what was saved there before.

    At every moment there is either the old or the new one: a crash, a full disk or a reader in between don't see a
    mixture.

    **Arguments:**

    - `tree`: any PyTree. What isn't an array (functions, strings, Python numbers) belongs to how it is built and
        isn't written.
    - `path`: the directory; it is made where it doesn't exist.
    - `initialized`: whether this is of a model that has everything that its steps need, which is noted.
    - `strategy`: that of the model. Of several processes, all of which call this, the first one writes.

    **Raises:** [`treegy.CheckpointError`][] if something else than a saved tree is there, or if it can't be written.
    """
    directory = local_path("path", path)
    leaves: list[tuple[KeyPath, AnyArray]] = []
    skeleton = skeleton_of(tree, (), leaves)
    keep = is_first(strategy)
    exchanged(strategy, f"`save` into '{directory}'", None)
    # One by one: what the others bring together for the first they needn't keep.
    whole: list[AnyArray] = []
    for _, leaf in leaves:
        there = local(leaf, strategy)
        whole += [there] if keep else []
    named = dict(zip(names_of([path for path, _ in leaves]), whole, strict=keep))
    about = {"skeleton": skeleton, "initialized": initialized}
    first_does(strategy, "`save`", lambda: save_arrays(named, directory, TREE, about))


def save_arrays(
    arrays: Mapping[str, AnyArray],
    path: object,
    kind: Kind,
    about: Mapping[str, object],
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write arrays into a directory, as `save_tree` does.

    **Arguments:**

    - `arrays`: by their names.
    - `path`: the directory; it is made where it doesn't exist.
    - `kind`: of what they are the arrays. What the directory holds must be of the same kind.
    - `about`: what the manifest says besides, of the types of JSON.
    - `beside`: other files of the directory, by their names, which every directory of this kind has.

    **Raises:** as `save_tree`.
    """
    directory = local_path("path", path)
    try:
        with _alone(directory) as alone:
            _save(directory, arrays, kind, about, beside or {}, alone)
    except OSError as error:
        raise CheckpointError(f"'{directory}' can't be written into: {error}") from error


def _save(
    directory: Path,
    leaves: Mapping[str, AnyArray],
    kind: Kind,
    about: Mapping[str, object],
    beside: Mapping[str, bytes],
    alone: bool,
) -> None:
    _claim(directory, kind)
    replaced = data_named_in(directory, kind)
    token = secrets.token_hex(16)
    data = directory / f"data-{token}.bin"
    temporary = directory / f"manifest-{token}.tmp"
    try:
        with data.open("xb") as file:
            written = write_leaves(leaves, file)
            length = file.tell()
            sync_file(file)
        content = {
            "format": kind.format,
            "version": _VERSION,
            "written_with": {name: _version(name) for name in ("treegy", "jax", "equinox")},
            "byteorder": sys.byteorder,
            "data": {"file": data.name, "bytes": length},
            "leaves": [dataclasses.asdict(leaf) for leaf in written],
            **about,
        }
        with temporary.open("xb") as file:
            file.write(json.dumps({**content, "checksum": _checksum(content)}, indent=1).encode())
            sync_file(file)
        sync_directory(directory)
        os.replace(temporary, directory / kind.manifest)
    except BaseException:
        # An interrupt may come when the new manifest is in place already; then the data is its data.
        if data_named_in(directory, kind) != data.name:
            for file in (data, temporary):
                file.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    # After the manifest, by which a directory is known for ours: what is beside it is then ours as well.
    for name, content in beside.items():
        with temporary.open("xb") as file:
            file.write(content)
            sync_file(file)
        os.replace(temporary, directory / name)
    # What killed processes have left goes, too, where it is known that nobody else is writing.
    left = (f.name for f in directory.iterdir() if _OURS.fullmatch(f.name)) if alone else (replaced,)
    for name in left:
        if name is not None and name != data.name and _OURS.fullmatch(name):
            # Windows doesn't remove what someone reads.
            with contextlib.suppress(OSError):
                (directory / name).unlink()


@contextlib.contextmanager
def _alone(directory: Path) -> Generator[bool]:
    """Wait until no other thread or process saves into a directory, and keep them out. No file is needed for it.

    Yields whether that can be done here.
    """
    _make(directory)
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    descriptor = os.open(directory, os.O_RDONLY)
    locked = False
    try:
        with contextlib.suppress(OSError):  # some network file systems can't lock directories
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            locked = True
        yield locked
    finally:
        if locked:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # now: a process that was forked meanwhile has it, too
        os.close(descriptor)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise CheckpointError(
            f"'{directory}' can't hold a saved model: it must be a directory, and there is a file of that name."
        ) from None


def _claim(directory: Path, kind: Kind) -> None:
    """Raise if something is in the directory that isn't ours to replace."""
    names = {file.name for file in directory.iterdir()}
    if numbers := sorted((n for n in names if is_checkpoint(directory / n)), key=int):
        raise CheckpointError(
            f"'{directory}' holds checkpoints, the last of step {numbers[-1]}: save into a directory of its own, so "
            "that it is known which of them `load` reads."
        )
    if kind.manifest in names:
        if data_named_in(directory, kind) is None:
            raise CheckpointError(
                f"'{directory / kind.manifest}' is not a manifest of treegy's, or damaged, and is not replaced. "
                "Remove the directory, or choose another one."
            )
    elif others := sorted(name for name in names if not _OURS.fullmatch(name)):
        raise CheckpointError(
            f"'{directory}' is not empty and holds no {kind.what}, but {others[0]!r}. Choose another directory."
        )


def data_named_in(directory: AnyPath, kind: Kind = TREE) -> str | None:
    """Return the name of the data that a manifest of ours refers to, without checking anything else about it."""
    try:
        content = json.loads((directory / kind.manifest).read_bytes())
        return str(content["data"]["file"]) if content["format"] == kind.format else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # takes a while

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _checksum(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(directory: Path, kind: Kind = TREE) -> Manifest:
    """Return the manifest of a directory.

    **Raises:** [`treegy.CheckpointError`][] if there is none, or it isn't what treegy writes.
    """
    file = directory / kind.manifest
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        others = [other for other in (TREE, EXPORTED) if data_named_in(directory, other) is not None]
        known = "".join(f" It holds a model that {other.reader} reads." for other in others)
        raise CheckpointError(f"There is no {kind.what} in '{directory}': '{file}' does not exist.{known}") from None
    except OSError as error:
        raise CheckpointError(f"'{file}' can't be read: {error}") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{file}' is damaged: it can't be read as JSON ({error}).") from None
    if not isinstance(content, dict) or content.get("format") != kind.format:
        raise CheckpointError(f"'{file}' was not written by treegy.")
    number = content.get("version")
    if type(number) is int and number > _VERSION:
        raise CheckpointError(
            f"'{file}' has version {number} of the format; this treegy reads up to {_VERSION}. Install a newer one."
        )
    checksum = content.pop("checksum", None)
    if checksum != _checksum(content):
        raise CheckpointError(f"'{file}' is damaged: its content is not what was written.")
    order = content.get("byteorder")
    if order != sys.byteorder:
        raise CheckpointError(f"'{file}' comes from a machine with another order of bytes ({order!s:.20}).")
    try:
        if type(number) is not int or number < 1:
            raise ValueError(f"its version is {number!r:.50}")
        leaves = tuple(as_leaf(**leaf) for leaf in content["leaves"])
        data, length = content["data"]["file"], content["data"]["bytes"]
        if not _OURS.fullmatch(data) or any(leaf.offset + leaf.length > length for leaf in leaves):
            raise ValueError("the data")
        # What was written before there was this note is of an initialized model.
        initialized = content.get("initialized") is not False
        return Manifest(data, length, leaves, content["skeleton"], initialized, content["written_with"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"'{file}' is not a manifest that treegy writes: {error!s:.500}.") from None
