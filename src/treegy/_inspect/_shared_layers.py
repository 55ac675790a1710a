"""Arrays that a module holds in several places."""

import jax

from .._describe import is_arraylike, path_name
from .._steps._assembly import partitioned
from .._types import PyTree
from .._warn import warn


def shared(net_params: PyTree) -> list[str]:
    """Return where trained parameters are one and the same array: "`.b` is `.a`" for each after the first."""
    first: dict[int, str] = {}
    found: list[str] = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(net_params):
        if is_arraylike(leaf) and first.setdefault(id(leaf), path_name(path)) != path_name(path):
            found.append(f"`{path_name(path)}` is `{first[id(leaf)]}`")
    return found


def warn_of_shared(module: PyTree, trainable: PyTree) -> None:
    """Warn of a layer in two places before training makes two of it."""
    ids = [id(leaf) for leaf in jax.tree.leaves(module) if is_arraylike(leaf)]
    if len(set(ids)) == len(ids):
        return
    pairs = shared(partitioned(module, trainable)[0])
    if pairs:
        more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        warn(
            f"the module holds the same array in several places: {', '.join(pairs[:3])}{more}. Training makes "
            "different ones of them, as everywhere in Equinox. If one layer is meant, `eqx.nn.Shared` keeps it one."
        )
