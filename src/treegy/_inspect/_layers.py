"""The layers of a module, and what each of them returns when the module is run on shapes."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import DictKey, SequenceKey

from .._describe import describe, is_arraylike
from .._types import KeyPath, PyTree


class Layer(NamedTuple):
    """A module inside a module, or a function in one of its lists, tuples or dicts."""

    path: KeyPath
    node: PyTree


def layers(module: PyTree) -> list[Layer]:
    """Return the module itself and all layers in it, from the outside in."""
    return [Layer((), module), *_inside((), module)]


def _inside(path: KeyPath, node: PyTree) -> list[Layer]:
    if not _is_tree(node):
        return []
    found: list[Layer] = []
    for relative, child in jax.tree_util.tree_flatten_with_path(node, is_leaf=_next_module(node))[0]:
        if _is_layer(relative, child):
            if callable(child) or any(is_arraylike(leaf) for leaf in jax.tree.leaves(child)):
                found.append(Layer(path + relative, child))
            found += _inside(path + relative, child)
    return found


def _is_tree(node: PyTree) -> bool:
    return not jax.tree_util.all_leaves([node])


def _next_module(node: PyTree) -> Callable[[PyTree], bool]:
    return lambda n: n is not node and isinstance(n, eqx.Module)


def _is_layer(path: KeyPath, node: PyTree) -> bool:
    if isinstance(node, eqx.nn.StateIndex):
        return False
    if isinstance(node, eqx.Module):
        return True
    # A function in a list stands where a layer could; one that is a field, such as an MLP's activation, doesn't.
    return _is_function(node) and isinstance(path[-1], SequenceKey | DictKey)


def _is_function(node: object) -> bool:
    return callable(node) and not isinstance(node, type | eqx.Module) and not is_arraylike(node)


Watcher: TypeAlias = Callable[..., PyTree]
"""Calls a layer, given what is called and its arguments, and sees what happens. A static part of the module, and so
compared by `==`."""


class Seat:
    """Sees what one layer returns."""

    def __init__(self) -> None:
        self._seen: list[list[PyTree]] = []
        """For each call a cell with what was returned, empty where that isn't known."""

    def __call__(self, fn: Callable[..., PyTree], *args: Any, **kwargs: Any) -> PyTree:
        result = fn(*args, **kwargs)
        self._see(result)
        return result

    def _see(self, result: PyTree) -> None:
        try:
            if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], eqx.nn.State):
                result = result[0]
            cell: list[PyTree] = []
            self._seen.append(cell)
            _follow(result, cell)
        except Exception:  # Never let observing break the model; a missing output only leaves a cell empty.
            pass

    def __str__(self) -> str:
        """Return the outputs of all calls, each different one once."""
        return " | ".join(dict.fromkeys(describe(value) for cell in self._seen for value in cell))


def _follow(result: PyTree, cell: list[PyTree]) -> None:
    """Put the shapes of `result` into `cell`, with the axes of every `vmap` around it.

    Inside `vmap` a value doesn't have the mapped axes. A function with a batching rule of its own is told of them, by
    one `vmap` after the other.
    """
    arrays, rest = eqx.partition(result, eqx.is_array)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arrays)
    # A rule may run several times, as for the body of a scan: what has most axes is the outermost.
    if not cell or _axes(shapes) >= _axes(cell[0]):
        cell[:] = [eqx.combine(shapes, rest)]
    if not jax.tree.leaves(arrays):
        return

    # No decorator: what `beartype.claw` puts around a decorated function has no `def_vmap`.
    unchanged = jax.custom_batching.custom_vmap(lambda arrays: arrays)

    def rule(axis_size: int, in_batched: list[PyTree], arrays: PyTree) -> tuple[PyTree, PyTree]:
        (batched,) = in_batched
        whole = jax.tree.map(lambda b, a: a if b else jnp.broadcast_to(a, (axis_size, *a.shape)), batched, arrays)
        try:
            _follow(eqx.combine(whole, rest), cell)
        except Exception:  # as above
            pass
        return arrays, batched

    unchanged.def_vmap(rule)
    # Nothing uses what this returns, so it disturbs no derivative: such functions can't be differentiated backwards.
    unchanged(jax.tree.map(jax.lax.stop_gradient, arrays))


def _axes(tree: PyTree) -> int:
    """Count the axes of all arrays."""
    return sum(len(leaf.shape) for leaf in jax.tree.leaves(tree) if is_arraylike(leaf))


def observed(
    node: PyTree, watcher: Callable[[KeyPath, PyTree], Watcher], fields: bool = False, path: KeyPath = ()
) -> PyTree:
    """Return a module whose layers are called by watchers; an ordinary one in all other respects.

    Of the parts into which `eqx.partition` splits a module, each can be observed, and they combine again.

    **Arguments:**

    - `watcher`: gives the one of a layer.
    - `fields`: whether functions that are fields count as layers, too.
    """
    if _is_function(node):
        return _observed_function(node, watcher(path, node))
    if not _is_tree(node):
        return node

    def inside(relative: KeyPath, child: PyTree) -> PyTree:
        # If the module's only leaf is a function, treat it as the module itself.
        field = fields and _is_function(child) and len(jax.tree.leaves(node)) > 1
        if field or _is_layer(relative, child):
            return observed(child, watcher, fields, path + relative)
        return child

    new = jax.tree_util.tree_map_with_path(inside, node, is_leaf=_next_module(node))
    if not isinstance(node, eqx.Module) or not callable(node) or isinstance(node, eqx.nn.Shared):
        return new  # what `Shared` returns are layers
    try:
        cls = _observed_class(type(node))
    except Exception:  # a class that can't be subclassed: its output stays unknown
        return new
    seen = object.__new__(cls)  # past `__init__` and `__check_init__`
    for name, value in vars(new).items():
        object.__setattr__(seen, name, value)
    object.__setattr__(seen, _SEAT, watcher(path, node))
    return seen


def _observed_function(fn: Callable[..., PyTree], watcher: Watcher) -> Callable[..., PyTree]:
    def called(*args: Any, **kwargs: Any) -> PyTree:
        return watcher(fn, *args, **kwargs)

    return functools.update_wrapper(called, fn)


_SEAT = "_treegy_seat"


class NoHook:
    """First among the bases, so that `__init_subclass__` of a user's class isn't told of ours."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        pass


# Once for each class: Equinox registers every class of modules with JAX, for good.
@functools.cache
def _observed_class(cls: type) -> type:
    original = cls.__call__

    def called(self: PyTree, /, *args: Any, **kwargs: Any) -> PyTree:
        watcher = vars(self).get(_SEAT)
        if watcher is None:
            return original(self, *args, **kwargs)
        return watcher(original, self, *args, **kwargs)

    # `__wrapped__` leads those who read signatures and annotations to the original. Not as a decorator: `beartype.claw`
    # over this package would take its annotations for those of `called`.
    functools.update_wrapper(called, original)
    # A static field, so that flattening and rebuilding, as by `vmap` and `eqx.combine`, keeps the seat.
    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__annotations__": {_SEAT: object},
        _SEAT: eqx.field(static=True, init=False, default=None),
        "__call__": called,
    }
    return type(cls)(cls.__name__, (NoHook, cls), namespace)
