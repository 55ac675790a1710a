"""Nodes of one kind within the states of an optimizer."""

import functools
from collections.abc import Callable

import jax

from .._types import PyTree

IsNode = Callable[[PyTree], bool]


def nodes(tree: PyTree, is_node: IsNode) -> list[PyTree]:
    """Return the outermost nodes of a kind, which must not depend on values. Most states have none, which is quick."""
    if tree is None or not there_are(jax.tree.structure(tree), is_node):
        return []
    return [node for node in jax.tree.leaves(tree, is_leaf=is_node) if is_node(node)]


@functools.lru_cache(maxsize=256)
def there_are(structure: PyTree, is_node: IsNode) -> bool:
    """Whether there is such a node in the PyTrees of a structure."""
    blank = jax.tree.unflatten(structure, [None] * structure.num_leaves)
    return any(map(is_node, jax.tree.leaves(blank, is_leaf=is_node)))
