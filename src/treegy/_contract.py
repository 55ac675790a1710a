"""Checking values against annotations while tracing. The only place that reads what annotations mean.

The check itself is jaxtyping's (and beartype's, for what isn't an array); here lie the scopes in which axis names mean
the same length, and the words for what doesn't fit.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, no_type_check

import jax
import numpy as np
from jaxtyping import AbstractArray, AnnotationError, PyTree, Shaped, jaxtyped

from ._describe import array_name, describe, is_arraylike, path_name
from ._errors import ContractError
from ._inject import annotations


class Axis(NamedTuple):
    """The length of a named axis, and what fixed it."""

    length: int
    by: str


Vocabulary = Mapping[str, Axis]


class _Fault(NamedTuple):
    where: str
    hint: Any
    value: Any


def check(
    fn: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    who: str,
    vocabulary: Vocabulary | None = None,
) -> None:
    """Check `arguments` against the annotations of `fn`.

    **Arguments:**

    - `fn`: the function that is going to be called.
    - `arguments`: by name. Under `return`, what it returned.
    - `who`: how to call it in an error.
    - `vocabulary`: axes whose lengths are known already.

    **Raises:** [`treegy.ContractError`][] that says which argument doesn't fit, what all of them are, and what fixed
    each axis.
    """
    hints = {name: hint for name, hint in annotations(fn).items() if name in arguments and mentions_arrays(hint)}
    if not hints:
        return
    axes = dict(vocabulary or {})
    with jaxtyped("context"):
        for name, axis in axes.items():
            _bind(name, axis.length)
        for name, hint in hints.items():
            try:
                fault = _first_fault(hint, arguments[name], "")
            except AnnotationError as e:
                e.add_note(f"This is about the annotation of `{name}` of {who}.")
                raise
            if fault is not None:
                if fault.where:
                    # An axis may have been fixed by another item of the same container.
                    for axis_name, length in _axes_in(hint, arguments[name]):
                        axes.setdefault(axis_name, Axis(length, name))
                raise ContractError(_report(who, name, fault, hints, arguments, axes))
            for axis_name, length in _axes_in(hint, arguments[name]):
                axes.setdefault(axis_name, Axis(length, name if name != "return" else "the result"))


def axes_of(hint: Any, value: Any, leading: int = 0) -> dict[str, int]:
    """The lengths of the named axes of `hint` in a value, whose first `leading` axes the hint doesn't speak of.

    Only of axes that stand for themselves: not of `*several`, `#broadcast`, `a+1` or `_`.
    """
    return dict(_axes_in(hint, value, leading))


def mentions_arrays(hint: Any) -> bool:
    """Whether a jaxtyping type occurs in `hint`."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    if _is_pytree(hint):
        return True
    return any(mentions_arrays(arg) for arg in get_args(hint) if not isinstance(arg, str | bytes))


def first_axis(hint: Any) -> str | None:
    """The name of the first axis of an array annotation, in the first array type that has one."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        names = hint.dim_str.split()
        return names[0] if names else None
    for arg in get_args(hint):
        if not isinstance(arg, str | bytes):
            found = first_axis(arg)
            if found is not None:
                return found
    return None


def hint_text(hint: Any) -> str:
    """An annotation as its author wrote it, as nearly as can be known."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        # jax's array type calls itself `jaxlib._jax.Array`.
        array = getattr(hint.array_type, "__name__", str(hint.array_type)).rpartition(".")[2]
        kind = hint.__name__.split("[")[0]
        return f'{kind}[{array}, "{hint.dim_str}"]'
    if _is_pytree(hint):
        leaftype, structure = getattr(hint, "leaftype", None), getattr(hint, "structure", None)
        parts = [] if leaftype is None else [hint_text(leaftype)]
        parts += [] if structure is None else [f'"{structure}"']
        return f"PyTree[{', '.join(parts)}]" if parts else "PyTree"
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


# `no_type_check` here and below: jaxtyping's import hook gives each function a scope of its own, and these bind axis
# names in that of `check`.
@no_type_check
def _bind(name: str, length: int) -> None:
    # An array of no elements, whose second axis has the name: checking it binds the name in the current scope.
    _fits(np.empty((0, length), bool), Shaped[np.ndarray, f"_ {name}"])


@no_type_check
def _fits(value: Any, hint: Any) -> bool:
    return isinstance(value, hint)


def _is_pytree(hint: Any) -> bool:
    return hint is PyTree or (isinstance(hint, type) and type(hint) is type(PyTree))


@no_type_check
def _first_fault(hint: Any, value: Any, where: str) -> _Fault | None:
    """The first place at which `value` doesn't fit `hint`.

    Containers are walked, since beartype looks at one item of each only.
    """
    origin, args = get_origin(hint), get_args(hint)
    if not mentions_arrays(hint) and not (hint is None or hint is type(None)):
        return None  # Not an array's contract: a type checker's business, not ours.
    if origin is Annotated:
        return _first_fault(args[0], value, where)
    if origin is Union or origin is types.UnionType:
        faults: list[Any] = []
        for arm in args:  # one after the other: an arm that fits binds axes, those after it must not
            fault = _first_fault(arm, value, where)
            if fault is None and (mentions_arrays(arm) or _bearable(value, arm)):
                return None
            faults.append(fault)
        arms = [f for f in faults if f is not None and f.hint is not type(None)]
        # One arm besides `None` is what was meant; of several, the whole union is the most honest answer.
        return arms[0] if len(arms) == 1 and value is not None else _Fault(where, hint, value)
    if isinstance(origin, type) and args:
        if issubclass(origin, tuple):
            return _fault_in_tuple(hint, args, value, where)
        if issubclass(origin, Mapping):
            if not isinstance(value, Mapping):
                return _Fault(where, hint, value)
            faults = (_first_fault(args[1], v, f"{where}[{k!r}]") for k, v in value.items())
            return next((f for f in faults if f is not None), None)
        if issubclass(origin, Sequence):
            if not isinstance(value, Sequence) or isinstance(value, str):
                return _Fault(where, hint, value)
            faults = (_first_fault(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
            return next((f for f in faults if f is not None), None)
    if _bearable(value, hint):
        return None
    return _fault_in_leaves(hint, value, where) or _Fault(where, hint, value)


@no_type_check
def _fault_in_leaves(hint: Any, value: Any, where: str) -> _Fault | None:
    """The leaf at which `value` doesn't fit a `PyTree[...]`, if it is a leaf."""
    if not _is_pytree(hint) or not mentions_arrays(hint.leaftype):
        return None
    leaves = jax.tree_util.tree_leaves_with_path(value)
    faults = (_first_fault(hint.leaftype, leaf, where + path_name(path)) for path, leaf in leaves)
    try:
        return next((f for f in faults if f is not None), None)
    except AnnotationError:
        return None  # axes such as `?n` mean something in the whole tree only


@no_type_check
def _fault_in_tuple(hint: Any, args: tuple[Any, ...], value: Any, where: str) -> _Fault | None:
    if not isinstance(value, tuple):
        return _Fault(where, hint, value)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        return _Fault(where, hint, value)
    faults = (_first_fault(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True)))
    return next((f for f in faults if f is not None), None)


@no_type_check
def _bearable(value: Any, hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return isinstance(value, hint)
    # It takes a while to import, and most annotations are arrays.
    from beartype.door import is_bearable
    from beartype.roar import BeartypeException

    try:
        return is_bearable(value, hint)
    except BeartypeException:
        return True  # a hint that beartype doesn't know is nobody's contract


def _axes_in(hint: Any, value: Any, leading: int = 0) -> list[tuple[str, int]]:
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
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _axes_in(args[0], value, leading)
    if origin is Union or origin is types.UnionType:
        arms = [_axes_in(arm, value, leading) for arm in args]
        return next((arm for arm in arms if arm), [])
    if isinstance(origin, type) and args:
        if issubclass(origin, Mapping) and isinstance(value, Mapping):
            return [pair for v in value.values() for pair in _axes_in(args[1], v, leading)]
        if issubclass(origin, tuple) and isinstance(value, tuple):
            hints = (args[0],) * len(value) if args[-1] is Ellipsis else args
            if len(hints) == len(value):
                return [p for h, v in zip(hints, value, strict=True) for p in _axes_in(h, v, leading)]
        elif issubclass(origin, Sequence) and isinstance(value, Sequence):
            return [pair for v in value for pair in _axes_in(args[0], v, leading)]
    return []


@no_type_check
def _report(
    who: str,
    name: str,
    fault: _Fault,
    hints: Mapping[str, Any],
    arguments: Mapping[str, Any],
    axes: Mapping[str, Axis],
) -> str:
    result = name == "return"
    head = (
        f"{who} returned something that does not fit its annotation."
        if result
        else f"{who} got a `{name}` that does not fit its annotation."
    )
    width = max(len(n) for n in hints)
    texts = {n: hint_text(h) for n, h in hints.items()}
    wide = max(len(t) for t in texts.values())
    lines = [head]
    for n in hints:
        mark = ">" if n == name else " "
        lines.append(f"  {mark} {n:<{width}} : {texts[n]:<{wide}}  = {describe(arguments[n])}")
    mentioned = [f"{a} = {axis.length} (from {axis.by})" for a, axis in axes.items()]
    if mentioned:
        lines.append("  axes: " + ", ".join(mentioned))
    spelled = f"the result{fault.where}" if result else f"`{name}{fault.where}`"
    lines.append("  " + _why(spelled, fault, axes))
    return "\n".join(lines)


@no_type_check
def _why(spelled: str, fault: _Fault, axes: Mapping[str, Axis]) -> str:
    hint, value = fault.hint, fault.value
    if value is None:
        return f"{spelled} is None. Add `| None` to the annotation if that is meant."
    if not (isinstance(hint, type) and issubclass(hint, AbstractArray)):
        return f"{spelled} is {describe(value)}, and {hint_text(hint)} is expected."
    if not is_arraylike(value):
        return f"{spelled} is {describe(value)}, and an array is expected."
    names, shape = hint.dim_str.split(), tuple(value.shape)
    if hint.index_variadic is None and len(names) != len(shape):
        are = "is" if len(names) == 1 else "are"
        mend = _last_axis_hint(spelled, len(names), shape)
        return f"{spelled} has {_axes_count(len(shape))}, {len(names)} {are} expected.{mend}"
    if hint.index_variadic is not None and len(shape) < len(names) - 1:
        return f"{spelled} has {_axes_count(len(shape))}, at least {len(names) - 1} are expected."
    for axis, length in _axes_in(hint, value):
        known = axes.get(axis)
        if known is not None and known.length != length:
            return f"Axis `{axis}` of {spelled} is {length}, and {known.length} from {known.by}."
    if isinstance(hint.array_type, type) and not isinstance(value, hint.array_type):
        is_jax = isinstance(value, jax.Array)
        kind = "jax.Array" if is_jax else type(value).__name__
        expected = "jax.Array" if hint.array_type is jax.Array else hint.array_type.__name__
        mend = " In a step all arrays are those of jax." if is_jax else " Convert it with `jnp.asarray`."
        return f"{spelled} is a {kind}, and a {expected} is expected.{mend}"
    seen: dict[str, int] = {}
    for axis, length in _axes_in(hint, value):
        if seen.setdefault(axis, length) != length:
            return f"Axis `{axis}` of {spelled} is both {seen[axis]} and {length}."
    if not isinstance(value, hint) and _fits(value, Shaped[Any, hint.dim_str]):
        kind = hint.__name__.split("[")[0]
        return f"{spelled} is {array_name(value)}, and the dtype expected is {kind}."
    return f"{spelled} is {array_name(value)}, and the axes expected are `{hint.dim_str}`."


def _axes_count(n: int) -> str:
    return f"{n} axis" if n == 1 else f"{n} axes"


def _last_axis_hint(spelled: str, expected: int, shape: tuple[int, ...]) -> str:
    if expected == len(shape) + 1:
        forgot = "Did the module forget" if spelled.startswith("`y_pred") else "Does it lack"
        return f" {forgot} a last axis of length 1?"
    if expected == len(shape) - 1 and shape[-1] == 1:
        return " Is its last axis of length 1 one too many?"
    return ""
