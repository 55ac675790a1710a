"""The structure of a saved tree that the model doesn't know: that of states which steps create."""

from collections.abc import Callable
from typing import Any, cast

from jax.tree_util import keystr, tree_flatten_with_path

from .._describe import is_arraylike, path_name
from .._errors import CheckpointError
from ._leaves import ABSENT, is_array


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
"""Stands in `like` for a subtree whose structure isn't known before loading."""


def skeleton_of(node: Any, path: tuple[Any, ...], leaves: list[Any]) -> Any:
    """The structure of `node` for JSON, an array being its index in `leaves`, which receives `(path, array)`."""
    if node is None:
        return None
    if is_array(node):
        leaves.append((path, node))
        return len(leaves) - 1
    children = tree_flatten_with_path(node, is_leaf=lambda child: child is not node)[0]
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


def children(skeleton: Any) -> dict[str, Any]:
    """What is below a place of the skeleton, by key as JAX writes it."""
    match skeleton:
        case {"dict": dict() as below}:
            return {f"[{key!r}]": child for key, child in cast(dict[str, Any], below).items()}
        case {"list": list() as below} | {"tuple": list() as below}:
            return {f"[{i}]": child for i, child in enumerate(cast(list[Any], below))}
        case {"children": dict() as below}:
            return cast(dict[str, Any], below)
        case _:
            return {}


def find(skeleton: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        skeleton = children(skeleton).get(keystr((key,)), ABSENT)
    return skeleton


def indices(skeleton: Any, name: str) -> set[int]:
    """The arrays of a subtree that can be rebuilt from the skeleton alone."""
    if skeleton is None:
        return set()
    if isinstance(skeleton, int):
        return {skeleton}
    kind = skeleton.get("node") or skeleton.get("leaf")
    if kind is not None:
        raise CheckpointError(
            f"`{name}` of the saved model holds an instance of {kind}, which can't be rebuilt from the file alone. "
            "Call `model.init(x, y)` before `load`, so that the structure is known."
        )
    return {i for key, child in children(skeleton).items() for i in indices(child, name + key)}


def rebuild(skeleton: Any, like: Any, read: Callable[[int, Any], Any]) -> Any:
    match skeleton:
        case int():
            return read(skeleton, like)
        case {"dict": below}:
            return {key: rebuild(child, like, read) for key, child in below.items()}
        case {"list": below}:
            return [rebuild(child, like, read) for child in below]
        case {"tuple": below}:
            return tuple(rebuild(child, like, read) for child in below)
        case _:
            return None
