"""Reading what `save` wrote, as a whole or a part."""

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import IO

import jax
import numpy as np
from jax.tree_util import tree_flatten_with_path

from .._describe import array_name, dtype_name, is_arraylike, is_key
from .._errors import CheckpointError
from .._paths import local
from .._types import AnyArray, KeyPath, PyTree
from ._differences import told_differences
from ._layout import AnyPath
from ._leaves import names_of, read_leaf
from ._manifest import DATA, MANIFEST, TREE, Kind, Manifest, data_named_in, read_manifest
from ._skeleton import ABSENT, UNKNOWN, Skeleton, children, find, indices, rebuild


def holds_saved(directory: AnyPath) -> bool:
    """Whether a directory holds what `save_tree` has written, whole or damaged."""
    try:
        names = {file.name for file in directory.iterdir()} if directory.is_dir() else set[str]()
    except OSError:
        return False
    return any(DATA.fullmatch(name) for name in names) or (MANIFEST in names and bool(data_named_in(directory)))


def load_tree(like: PyTree, path: object) -> PyTree:
    """Read the arrays that `save_tree` wrote.

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

    def __init__(self, directory: Path, manifest: Manifest, file: IO[bytes]):
        self._directory, self._manifest, self._file = directory, manifest, file
        self.initialized = manifest.initialized
        """Whether it is of a model that had everything that its steps need."""
        self.written_with = manifest.written_with
        """The versions of the packages that it was written with."""

    def has(self, name: str) -> bool:
        """Whether there is anything under a key of the tree, which is a dict."""
        return children(self._manifest.skeleton).get(f"[{name!r}]") is not None

    def read(self, like: PyTree, rename: Callable[[str], str | None] = lambda name: name) -> PyTree:
        """Return the tree, as `load_tree` does.

        **Arguments:**

        - `rename`: of the path of an array in the file, that in `like`; `None` to leave the array out.
        """
        expected, structure = tree_flatten_with_path(like)
        with _whole(self._directory):
            self._check_length()
            sources = _sources(expected, self._manifest, self._directory, rename)

            def read(index: int, like: PyTree) -> AnyArray:
                return read_leaf(self._manifest.leaves[index], like, self._file)

            leaves = [
                leaf if source is ABSENT else rebuild(source, leaf, read)
                for (_, leaf), source in zip(expected, sources, strict=True)
            ]
        return jax.tree.unflatten(structure, leaves)

    def arrays(self) -> dict[str, AnyArray]:
        """Return all arrays by their names, as NumPy's."""
        with _whole(self._directory):
            self._check_length()
            as_numpy = np.empty(0)
            return {leaf.path: read_leaf(leaf, as_numpy, self._file) for leaf in self._manifest.leaves}

    def _check_length(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        if size != self._manifest.length:
            what = "truncated" if size < self._manifest.length else "damaged"
            raise CheckpointError(
                f"'{self._directory / self._manifest.data}' is {what}: it has {size} bytes where "
                f"{self._manifest.length} were saved."
            )


@contextlib.contextmanager
def opened(path: object, kind: Kind = TREE) -> Generator[Saved]:
    """Open what is saved in a directory.

    **Raises:** [`treegy.CheckpointError`][] if there is no saved tree, or if its manifest is damaged.
    """
    directory = local("path", path)
    with _whole(directory):
        manifest, file = open_data(directory, kind)
    with file:
        yield Saved(directory, manifest, file)


@contextlib.contextmanager
def _whole(directory: Path) -> Generator[None]:
    """Raise whatever a reader stumbles over as a [`treegy.CheckpointError`][]."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"What is saved in '{directory}' can't be read: {error}") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError) as error:
        what = f"{type(error).__name__}: {error}"[:500]
        raise CheckpointError(f"What is saved in '{directory}' is damaged: {what}") from error


def open_data(directory: Path, kind: Kind = TREE) -> tuple[Manifest, IO[bytes]]:
    """Return the manifest and its data, opened: from then on a save at the same time doesn't matter."""
    manifest = read_manifest(directory, kind)
    while True:
        try:
            return manifest, (directory / manifest.data).open("rb")
        except FileNotFoundError:
            # A save may have replaced both in between.
            newer = read_manifest(directory, kind)
            if newer.data == manifest.data:
                raise CheckpointError(
                    f"'{directory / manifest.data}' is missing: '{kind.manifest}' beside it says that the arrays are "
                    "there."
                ) from None
            manifest = newer


def _sources(
    expected: Sequence[tuple[KeyPath, PyTree]],
    manifest: Manifest,
    directory: Path,
    rename: Callable[[str], str | None],
) -> list[Skeleton]:
    """Return for every leaf of `like` the part of the skeleton that it is read from, `ABSENT` where it is kept.

    **Raises:** [`treegy.CheckpointError`][] where the arrays aren't those of `like`.
    """
    named = ((rename(leaf.path), i) for i, leaf in enumerate(manifest.leaves))
    index = {name: i for name, i in named if name is not None}
    rebuilt: set[int] = set()
    here: dict[str, str] = {}
    sources: list[Skeleton] = []
    for name, (path, leaf) in zip(names_of([path for path, _ in expected]), expected, strict=True):
        source = ABSENT
        if leaf is UNKNOWN:
            source = find(manifest.skeleton, path)
            if source is ABSENT:
                here[name] = ""
            else:
                rebuilt |= indices(source, name)
        elif is_arraylike(leaf):
            source = index.get(name, ABSENT)
            here[name] = _name_of(leaf)
        sources.append(source)
    there = {name: array_name(manifest.leaves[i]) for name, i in index.items() if i not in rebuilt}
    differences = told_differences(here, there, "file")
    if differences:
        raise CheckpointError(
            f"What is saved in '{directory}' belongs to another architecture:\n{differences}\n"
            "It can be loaded into what is built the same way as what was saved."
        )
    return sources


def _name_of(leaf: AnyArray | jax.ShapeDtypeStruct) -> str:
    """Return the shape and dtype of an array as the manifest has them, where the order of bytes is that of JAX."""
    dtype = str(leaf.dtype) if is_key(leaf) else leaf.dtype.name
    return f"{dtype_name(dtype)}[{','.join(map(str, leaf.shape))}]"
