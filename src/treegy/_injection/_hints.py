"""Annotations by themselves: how they are spelled, and whether a value fits one."""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, no_type_check

import jax
from jaxtyping import AbstractArray, PyTree

from .._describe import is_arraylike
from .._types import Hint, Length
from ._annotations import is_alias


def mentions_arrays(hint: Hint) -> bool:
    """Whether a jaxtyping type occurs in `hint`."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    if is_pytree(hint) or is_alias(hint):
        return True
    return any(mentions_arrays(arg) for arg in get_args(hint) if not isinstance(arg, str | bytes))


def first_axis(hint: Hint) -> str | None:
    """Return the name of the first axis of an array annotation, in the first array type that has one.

    Without what jaxtyping takes before and after a name: it is `batch` in `#batch`, `?batch`, `_batch` and `batch=8`.
    `*batch` are several axes, or none.
    """
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        names = hint.dim_str.split()
        return names[0].lstrip("#?_").partition("=")[0] if names else None
    inner = (hint.leaftype,) if is_pytree(hint) and hasattr(hint, "leaftype") else get_args(hint)
    for arg in inner:
        if not isinstance(arg, str | bytes):
            found = first_axis(arg)
            if found is not None:
                return found
    return None


def hint_text(hint: Hint) -> str:
    """Return an annotation as its author wrote it, as nearly as can be known."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        # jax's array type calls itself `jaxlib._jax.Array`.
        array = getattr(hint.array_type, "__name__", str(hint.array_type)).rpartition(".")[2]
        kind = hint.__name__.split("[")[0]
        return f'{kind}[{array}, "{hint.dim_str}"]'
    if is_pytree(hint):
        leaftype, structure = getattr(hint, "leaftype", None), getattr(hint, "structure", None)
        parts = [] if leaftype is None else [hint_text(leaftype)]
        parts += [] if structure is None else [f'"{structure}"']
        return f"PyTree[{', '.join(parts)}]" if parts else "PyTree"
    if is_alias(hint):
        return hint.__name__
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return hint_text(args[0])
    if origin is Union or origin is types.UnionType:
        return " | ".join(hint_text(a) for a in args)
    if hint is type(None) or hint is None:
        return "None"
    if hint is Ellipsis:
        return "..."
    if origin is not None and isinstance(origin, type):
        return f"{origin.__name__}[{', '.join(hint_text(a) for a in args)}]"
    if isinstance(hint, type):
        return hint.__name__
    return str(hint).removeprefix("typing.")


@no_type_check
def fits(value: object, hint: Hint) -> bool:
    return isinstance(value, hint)


def is_pytree(hint: Hint) -> bool:
    return hint is PyTree or (isinstance(hint, type) and type(hint) is type(PyTree))


@no_type_check
def bearable(value: object, hint: Hint) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return isinstance(value, hint)
    # It takes a while to import, and most annotations are arrays.
    from beartype.door import is_bearable
    from beartype.roar import BeartypeException

    try:
        return is_bearable(value, hint)
    except BeartypeException:
        return True  # a hint that beartype doesn't know is nobody's contract


class Axis(NamedTuple):
    """The length of a named axis, and what fixed it."""

    length: Length
    by: str


class Fault(NamedTuple):
    where: str
    hint: Hint
    value: object


def axes_in(hint: Hint, value: Any, leading: int = 0) -> list[tuple[str, Length]]:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        if not is_arraylike(value):
            return []
        names, shape = hint.dim_str.split(), tuple(value.shape)[leading:]
        spread = [i for i, n in enumerate(names) if n.startswith("*") or n == "..." or n.startswith("#*")]
        if spread:
            (i,) = spread
            after = len(names) - i - 1
            if len(shape) < i + after:
                return []
            names, shape = names[:i] + names[i + 1 :], shape[:i] + shape[len(shape) - after :]
        if len(names) != len(shape):
            return []
        return [(n, d) for n, d in zip(names, shape, strict=True) if n.isidentifier() and not n.startswith("_")]
    if is_pytree(hint) and hasattr(hint, "leaftype") and mentions_arrays(hint.leaftype):
        return [pair for leaf in jax.tree.leaves(value) for pair in axes_in(hint.leaftype, leaf, leading)]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return axes_in(args[0], value, leading)
    if origin is Union or origin is types.UnionType:
        arms = [axes_in(arm, value, leading) for arm in args]
        return next((arm for arm in arms if arm), [])
    if isinstance(origin, type) and args:
        if issubclass(origin, Mapping) and isinstance(value, Mapping):
            return [pair for v in value.values() for pair in axes_in(args[1], v, leading)]
        if issubclass(origin, tuple) and isinstance(value, tuple):
            hints = (args[0],) * len(value) if args[-1] is Ellipsis else args
            if len(hints) == len(value):
                return [p for h, v in zip(hints, value, strict=True) for p in axes_in(h, v, leading)]
        elif issubclass(origin, Sequence) and isinstance(value, Sequence):
            return [pair for v in value for pair in axes_in(args[0], v, leading)]
    return []


Vocabulary = Mapping[str, Axis]
