"""Reading what `save` wrote, as a whole or a part."""

import contextlib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO

import jax
from jax.tree_util import tree_flatten_with_path

from .._describe import dtype_name, is_arraylike
from .._errors import CheckpointError
from .._paths import local
from ._leaves import ABSENT, is_key_array, read_leaf, with_names
from ._manifest import DATA, MANIFEST, Manifest, data_named_in, listed, read_manifest
from ._skeleton import UNKNOWN, children, find, indices, rebuild


def holds_saved(directory: Any) -> bool:
    """Whether a directory holds what `save_tree` has written, whole or damaged."""
    try:
        names = {file.name for file in directory.iterdir()} if directory.is_dir() else set[str]()
    except OSError:
        return False
    return any(DATA.fullmatch(name) for name in names) or (MANIFEST in names and bool(data_named_in(directory)))


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

    def __init__(self, directory: Path, manifest: Manifest, file: BinaryIO):
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
            sources = compare(expected, self._manifest, self._directory, rename)

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
        manifest, file = open_data(directory)
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


def open_data(directory: Path) -> tuple[Manifest, BinaryIO]:
    """The manifest and its data, opened: from then on a save at the same time doesn't matter."""
    manifest = read_manifest(directory)
    while True:
        try:
            return manifest, (directory / manifest.data).open("rb")
        except FileNotFoundError:
            # A save may have replaced both in between.
            newer = read_manifest(directory)
            if newer.data == manifest.data:
                raise CheckpointError(
                    f"'{directory / manifest.data}' is missing: '{MANIFEST}' beside it says that the arrays are there."
                ) from None
            manifest = newer


def compare(
    expected: list[tuple[Any, Any]], manifest: Manifest, directory: Path, rename: Callable[[str], str | None]
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
