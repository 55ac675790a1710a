"""The structure of a saved tree that the model doesn't know: that of states which steps create."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from jax.tree_util import keystr, tree_flatten_with_path

from .._describe import is_arraylike, path_name
from .._errors import CheckpointError
from .._types import AnyArray, KeyPath, PyTree

Skeleton: TypeAlias = object
"""The structure of a tree as JSON has it: the index of an array, what a container holds, or `None`. As it comes from a
file, it may be anything else."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
"""Stands in `like` for a subtree whose structure isn't known before loading."""

ABSENT: Skeleton = object()
"""Of a subtree that the saved tree doesn't have."""


def skeleton_of(node: PyTree, path: KeyPath, leaves: list[tuple[KeyPath, AnyArray]]) -> Skeleton:
    """Return the structure of `node` for JSON, an array being its index in `leaves`, which receives `(path, array)`."""
    if node is None:
        return None
    if isinstance(node, AnyArray):
        leaves.append((path, node))
        return len(leaves) - 1
    children = tree_flatten_with_path(node, is_leaf=lambda child: child is not node)[0]
    # A leaf that is no array: it is its own only child.
    if any(not keys for keys, _ in children):
        if is_arraylike(node):
            raise CheckpointError(f"`{path_name(path)}` can't be saved: it is {node!r}, which holds no numbers.")
        return {"leaf": type(node).__name__}
    below = [(keys[0], skeleton_of(child, (*path, *keys), leaves)) for keys, child in children]
    if type(node) is dict and all(isinstance(key, str) for key in node):
        return {"dict": {key.key: child for key, child in below}}
    if type(node) is list or type(node) is tuple:
        return {type(node).__name__: [child for _, child in below]}
    return {"node": type(node).__name__, "children": {keystr((key,)): child for key, child in below}}


def children(skeleton: Skeleton) -> dict[str, Skeleton]:
    """Return what is below a node of the skeleton, by key as JAX writes it."""
    match skeleton:
        case {"dict": dict(below)}:
            return {f"[{key!r}]": child for key, child in below.items()}
        case {"list": list(below)} | {"tuple": list(below)}:
            return {f"[{i}]": child for i, child in enumerate(below)}
        case {"children": dict(below)}:
            return below
        case _:
            return {}


def find(skeleton: Skeleton, path: KeyPath) -> Skeleton:
    """Return what is at a path, or `ABSENT`."""
    for key in path:
        skeleton = children(skeleton).get(keystr((key,)), ABSENT)
    return skeleton


def indices(skeleton: Skeleton, name: str) -> set[int]:
    """Return the arrays of a subtree that can be rebuilt from the skeleton alone."""
    if skeleton is None:
        return set()
    if isinstance(skeleton, int):
        return {skeleton}
    if not isinstance(skeleton, Mapping):
        raise ValueError(f"the structure of {name}")
    kind = skeleton.get("node") or skeleton.get("leaf")
    if kind is not None:
        raise CheckpointError(
            f"`{name}` of the saved model holds an instance of {kind}, which can't be rebuilt from the file alone. "
            "Call `model.init(x, y)` before `load`, so that the structure is known."
        )
    return {i for key, child in children(skeleton).items() for i in indices(child, name + key)}


def rebuild(skeleton: Skeleton, like: PyTree, read: Callable[[int, PyTree], AnyArray]) -> PyTree:
    """Return a subtree of dicts, lists and tuples with the arrays that are read into it."""
    match skeleton:
        case int():
            return read(skeleton, like)
        case {"dict": dict(below)}:
            return {key: rebuild(child, like, read) for key, child in below.items()}
        case {"list": list(below)}:
            return [rebuild(child, like, read) for child in below]
        case {"tuple": list(below)}:
            return tuple(rebuild(child, like, read) for child in below)
        case _:
            return None
