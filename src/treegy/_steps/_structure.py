"""What a step may not change: the structure of the states, their shapes and dtypes."""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, describe, differences, is_arraylike, leaf_name, path_name
from .._types import KeyPath, PyTree
from ._states import States


def settled(step: str, before: States, after: States) -> States:
    """Return the states after a step, of exactly the structure, shapes and dtypes that they had before it.

    The root key is put back, which every step folds again, and what only the driver changes is taken from before.
    """
    kept = {n: before[n] for n in ("rng", "step", "metrics_states") if n in before}
    after = after.update(**kept)
    old, old_tree = jax.tree_util.tree_flatten_with_path(before)
    new, new_tree = jax.tree_util.tree_flatten_with_path(after)
    if old_tree != new_tree:
        raise ValueError(_restructured(step, dict(_by_name(old)), dict(_by_name(new))))
    leaves = [_settled_leaf(step, path, a, b) for (path, a), (_, b) in zip(old, new, strict=True)]
    return jax.tree_util.tree_unflatten(old_tree, leaves)


def _settled_leaf(step: str, path: KeyPath, old: PyTree, new: PyTree) -> PyTree:
    if new is old:
        return new
    where = f"`states{path_name(path)}`"
    if not is_arraylike(old):
        if is_arraylike(new) or type(new) is not type(old) or new != old:
            raise ValueError(
                f"step `{step}` changed {where} from {describe(old)} to {describe(new)}. A leaf that isn't an array "
                "can't change from step to step: make it one, `jnp.asarray(...)`, where it is created."
            )
        return old
    if not is_arraylike(new):
        if isinstance(new, bool | int | float | complex):
            return jnp.asarray(new, old.dtype)
        raise ValueError(f"step `{step}` changed {where} from {array_name(old)} to {describe(new)}.")
    if old.shape != new.shape or old.dtype != new.dtype:
        raise ValueError(
            f"step `{step}` changed {where} from {array_name(old)} to {array_name(new)}. Shapes and dtypes of the "
            "states stay as they are from step to step."
        )
    # A weak type would compile the next step again.
    return jnp.asarray(new, old.dtype) if getattr(new, "weak_type", False) else new


def _by_name(leaves: PyTree) -> list[tuple[str, PyTree]]:
    return [(path_name(path), leaf) for path, leaf in leaves]


def _restructured(step: str, old: Mapping[str, PyTree], new: Mapping[str, PyTree]) -> str:
    lines = [f"step `{step}` changed the structure of the states, which stays the same from step to step."]
    shown = [{n: leaf_name(v) for n, v in leaves.items()} for leaves in (old, new)]
    differ = differences(*shown, alike=lambda a, b: True)
    lines += [f"  new:  states{n} = {there}" for n, here, there in differ if here is None][:5]
    lines += [f"  gone: states{n} = {here}" for n, here, there in differ if there is None][:5]
    lines.append("Create all of it when `initializing`, or in `states_step`.")
    return "\n".join(lines)


def arrays_from(states: States, names: Iterable[str]) -> States:
    """`states` whose Python numbers in the fields `names` are arrays, so that they can change from step to step."""

    def convert(leaf: PyTree) -> PyTree:
        if isinstance(leaf, bool | int | float | complex | np.ndarray | np.generic):
            return jnp.asarray(leaf)
        if getattr(leaf, "weak_type", False):
            return jnp.asarray(leaf, leaf.dtype)
        return leaf

    return states.update(**{n: jax.tree.map(convert, states[n]) for n in names if n in states})
