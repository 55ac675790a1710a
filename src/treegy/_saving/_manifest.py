"""A PyTree's arrays in a directory: a manifest in JSON and one file of raw bytes. Nothing in them can be executed."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO, cast

import jax
from jax.tree_util import tree_flatten_with_path

from .._describe import dtype_name, is_arraylike
from .._errors import CheckpointError
from .._paths import local
from ._layout import is_checkpoint
from ._leaves import ABSENT, Leaf, is_key_array, read_leaf, tuples, with_names, write_leaves
from ._skeleton import UNKNOWN, children, find, indices, rebuild, skeleton_of
from ._sync import sync_directory, sync_file

_FORMAT = "treegy tree"
_VERSION = 1
_MANIFEST = "manifest.json"
_DATA = re.compile(r"data-[0-9a-f]{32}\.bin")
_OURS = re.compile(r"data-[0-9a-f]{32}\.bin|manifest-[0-9a-f]{32}\.tmp")
_LINES, _WIDTH = 10, 150


@dataclasses.dataclass(frozen=True)
class _Manifest:
    data: str
    length: int
    leaves: tuple[Leaf, ...]
    skeleton: Any
    initialized: bool


def save_tree(tree: Any, path: Any, initialized: bool = True) -> None:
    """Writes the arrays of a PyTree into a directory, replacing what was saved there before.

    At every moment there is either the old or the new one: a crash, a full disk or a reader in between don't see a
    mixture.

    **Arguments:**

    - `tree`: any PyTree. What isn't an array (functions, strings, Python numbers) belongs to how it is built and
        isn't written.
    - `path`: the directory; it is made where it doesn't exist.
    - `initialized`: whether this is of a model that has everything that its steps need, which is noted.

    **Raises:** [`treegy.CheckpointError`][] if something else than a saved tree is there, or if it can't be written.
    """
    directory = local("path", path)
    leaves: list[tuple[Any, Any]] = []
    skeleton = skeleton_of(tree, (), leaves)
    try:
        with _alone(directory) as alone:
            _save(directory, with_names(leaves), skeleton, initialized, alone)
    except OSError as error:
        raise CheckpointError(f"'{directory}' can't be written into: {error}") from error


def _save(directory: Path, leaves: list[tuple[str, Any]], skeleton: Any, initialized: bool, alone: bool) -> None:
    _claim(directory)
    replaced = _data_named_in(directory)
    token = secrets.token_hex(16)
    data = directory / f"data-{token}.bin"
    temporary = directory / f"manifest-{token}.tmp"
    try:
        with data.open("xb") as file:
            written = write_leaves(leaves, file)
            length = file.tell()
            sync_file(file)
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "written_with": {name: _version(name) for name in ("treegy", "jax", "equinox")},
            "byteorder": sys.byteorder,
            "data": {"file": data.name, "bytes": length},
            "leaves": [dataclasses.asdict(leaf) for leaf in written],
            "skeleton": skeleton,
            "initialized": initialized,
        }
        with temporary.open("xb") as file:
            file.write(json.dumps({**content, "checksum": _checksum(content)}, indent=1).encode())
            sync_file(file)
        sync_directory(directory)
        os.replace(temporary, directory / _MANIFEST)
    except BaseException:
        # An interrupt may come when the new manifest is in place already; then the data is its data.
        if _data_named_in(directory) != data.name:
            for file in (data, temporary):
                file.unlink(missing_ok=True)
        raise
    sync_directory(directory)
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


def holds_saved(directory: Any) -> bool:
    """Whether a directory holds what `save_tree` has written, whole or damaged."""
    try:
        names = {file.name for file in directory.iterdir()} if directory.is_dir() else set[str]()
    except OSError:
        return False
    return any(_DATA.fullmatch(name) for name in names) or (_MANIFEST in names and bool(_data_named_in(directory)))


def load_tree(like: Any, path: Any) -> Any:
    """Reads the arrays that `save_tree` wrote.

    **Arguments:**

    - `like`: a PyTree whose arrays (or `jax.ShapeDtypeStruct`s) say what is expected. What isn't an array is kept.
        In place of a subtree there may be `UNKNOWN`: it is rebuilt from the file, if it consists of dicts with
        strings as keys, lists, tuples, `None` and arrays.
    - `path`: the directory.

    **Returns:**

    `like` with the saved arrays: JAX arrays, placed as those of `like` are, and NumPy arrays where `like` has those.

    **Raises:** [`treegy.CheckpointError`][] if there is no saved tree, if it is damaged, or if its arrays aren't those
    of `like`, with the paths that differ.
    """
    with opened(path) as saved:
        return saved.read(like)


class Saved:
    """What `save_tree` wrote, open for reading: a save at the same time changes nothing about it."""

    def __init__(self, directory: Path, manifest: _Manifest, file: BinaryIO):
        self._directory, self._manifest, self._file = directory, manifest, file
        self.initialized = manifest.initialized
        """Whether it is of a model that had everything that its steps need."""

    def has(self, name: str) -> bool:
        """Whether there is anything under a key of the tree, which is a dict."""
        return children(self._manifest.skeleton).get(f"[{name!r}]") is not None

    def read(self, like: Any, rename: Callable[[str], str | None] = lambda name: name) -> Any:
        """The tree, as `load_tree` does.

        **Arguments:**

        - `rename`: of the path of an array in the file, that in `like`; `None` to leave the array out.
        """
        expected, structure = tree_flatten_with_path(like)
        with _whole(self._directory):
            size = os.fstat(self._file.fileno()).st_size
            if size != self._manifest.length:
                what = "truncated" if size < self._manifest.length else "damaged"
                raise CheckpointError(
                    f"'{self._directory / self._manifest.data}' is {what}: it has {size} bytes where "
                    f"{self._manifest.length} were saved."
                )
            sources = _compare(expected, self._manifest, self._directory, rename)

            def read(index: int, like: Any) -> Any:
                return read_leaf(self._manifest.leaves[index], like, self._file)

            leaves = [
                leaf if source is ABSENT else rebuild(source, leaf, read)
                for (_, leaf), source in zip(expected, sources, strict=True)
            ]
        return jax.tree.unflatten(structure, leaves)


@contextlib.contextmanager
def opened(path: Any) -> Generator[Saved]:
    """**Raises:** [`treegy.CheckpointError`][] if there is no saved tree, or if its manifest is damaged."""
    directory = local("path", path)
    with _whole(directory):
        manifest, file = _open(directory)
    with file:
        yield Saved(directory, manifest, file)


@contextlib.contextmanager
def _whole(directory: Path) -> Generator[None]:
    """Whatever a reader stumbles over, as a [`treegy.CheckpointError`][]."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"What is saved in '{directory}' can't be read: {error}") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError) as error:
        what = f"{type(error).__name__}: {error}"[:500]
        raise CheckpointError(f"What is saved in '{directory}' is damaged: {what}") from error


# What is an array


# Writing


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise CheckpointError(
            f"'{directory}' can't hold a saved model: it must be a directory, and there is a file of that name."
        ) from None


def _claim(directory: Path) -> None:
    """Raise if something is in the directory that isn't ours to replace."""
    names = {file.name for file in directory.iterdir()}
    if numbers := sorted((n for n in names if is_checkpoint(directory / n)), key=int):
        raise CheckpointError(
            f"'{directory}' holds checkpoints, the last of step {numbers[-1]}: save into a directory of its own, so "
            "that it is known which of them `load` reads."
        )
    if _MANIFEST in names:
        if _data_named_in(directory) is None:
            raise CheckpointError(
                f"'{directory / _MANIFEST}' is not a manifest of treegy's, or damaged, and is not replaced. "
                "Remove the directory, or choose another one."
            )
    elif others := sorted(name for name in names if not _OURS.fullmatch(name)):
        raise CheckpointError(
            f"'{directory}' is not empty and holds no saved model, but {others[0]!r}. Choose another directory."
        )


def _data_named_in(directory: Path) -> str | None:
    """The name of the data that a manifest of ours refers to, without checking anything else about it."""
    try:
        content = json.loads((directory / _MANIFEST).read_bytes())
        return str(content["data"]["file"]) if content["format"] == _FORMAT else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # takes a while

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# Reading


def _open(directory: Path) -> tuple[_Manifest, BinaryIO]:
    """The manifest and its data, opened: from then on a save at the same time doesn't matter."""
    manifest = _read_manifest(directory)
    while True:
        try:
            return manifest, (directory / manifest.data).open("rb")
        except FileNotFoundError:
            # A save may have replaced both in between.
            newer = _read_manifest(directory)
            if newer.data == manifest.data:
                raise CheckpointError(
                    f"'{directory / manifest.data}' is missing: '{_MANIFEST}' beside it says that the arrays are there."
                ) from None
            manifest = newer


def _read_manifest(directory: Path) -> _Manifest:
    file = directory / _MANIFEST
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"There is no saved model in '{directory}': '{file}' does not exist.") from None
    except OSError as error:
        raise CheckpointError(f"'{file}' can't be read: {error}") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{file}' is damaged: it can't be read as JSON ({error}).") from None
    if not isinstance(content, dict) or cast(dict[str, Any], content).get("format") != _FORMAT:
        raise CheckpointError(f"'{file}' was not written by treegy.")
    content = cast(dict[str, Any], content)
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
        leaves = tuple(Leaf(**{**leaf, **tuples(leaf)}) for leaf in content["leaves"])
        data, length = content["data"]["file"], content["data"]["bytes"]
        if not _OURS.fullmatch(data) or any(leaf.offset + leaf.length > length for leaf in leaves):
            raise ValueError("the data")
        # What was written before there was this note is of an initialized model.
        return _Manifest(data, length, leaves, content["skeleton"], content.get("initialized") is not False)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"'{file}' is not a manifest that treegy writes: {error!s:.500}.") from None


def _compare(
    expected: list[tuple[Any, Any]], manifest: _Manifest, directory: Path, rename: Callable[[str], str | None]
) -> list[Any]:
    """For every leaf of `like` the part of the skeleton it is read from, or `_ABSENT` where it is kept."""
    named = ((rename(leaf.path), i) for i, leaf in enumerate(manifest.leaves))
    index = {name: i for name, i in named if name is not None}
    rest = set(index.values())
    sources: list[Any] = []
    differences: list[str] = []
    for (name, leaf), (path, _) in zip(with_names(expected), expected, strict=True):
        source: Any = ABSENT
        if leaf is UNKNOWN:
            source = find(manifest.skeleton, path)
            if source is ABSENT:
                differences.append(f"only here: {name}")
            else:
                rest -= indices(source, name)
        elif is_arraylike(leaf):
            here = f"{dtype_name(leaf.dtype)}[{','.join(map(str, leaf.shape))}]"
            if name not in index:
                differences.append(f"only here: {name}: {here}")
            else:
                source = index[name]
                rest.discard(source)
                saved = manifest.leaves[source]
                dtype = str(leaf.dtype) if is_key_array(leaf) else leaf.dtype.name
                if (tuple(leaf.shape), dtype) != (saved.shape, saved.dtype):
                    differences.append(f"{name}: {here} here, {saved.describe()} in the file")
        sources.append(source)
    for i in sorted(rest):
        saved = manifest.leaves[i]
        differences.append(f"only in the file: {saved.path}: {saved.describe()}")
    if differences:
        raise CheckpointError(
            f"What is saved in '{directory}' belongs to another architecture:\n"
            + listed(differences)
            + "\nIt can be loaded into what is built the same way as what was saved."
        )
    return sources


def listed(differences: list[str]) -> str:
    """The first lines of a report, none of them too long."""
    more = len(differences) - _LINES
    shown = [*differences[:_LINES], f"... and {more} more"] if more > 0 else differences
    return "\n".join(f"  {line}" if len(line) <= _WIDTH else f"  {line[: _WIDTH - 3]}..." for line in shown)
