"""Checking values against annotations while tracing. The only place that reads what annotations mean.

The check itself is jaxtyping's (and beartype's, for what isn't an array); here lie the scopes in which axis names mean
the same length, and the words for what doesn't fit.
"""

import inspect
import keyword
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, no_type_check

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
from jaxtyping import AbstractArray, AnnotationError, PyTree, Shaped, jaxtyped

from .._describe import array_name, cut, describe, is_arraylike, path_name
from .._errors import ContractError
from ._annotations import is_alias
from ._inject import all_arguments, annotations, request


class Axis(NamedTuple):
    """The length of a named axis, and what fixed it."""

    length: int
    by: str


Vocabulary = Mapping[str, Axis]

# How many arguments an error shows beside the one that is wrong.
_SHOWN = 8


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
    rest: tuple[Any, ...] = (),
) -> None:
    """Check `arguments` against the annotations of `fn`.

    Nothing is checked where jaxtyping is told to check nothing (`JAXTYPING_DISABLE=1`).

    **Arguments:**

    - `fn`: the function that is going to be called.
    - `arguments`: by name. Under `return`, what it returned.
    - `who`: how to call it in an error.
    - `vocabulary`: axes whose lengths are known already.
    - `rest`: what goes to an `*args`.

    **Raises:** [`treegy.ContractError`][] that says which argument doesn't fit, what all of them are, and what fixed
    each axis.
    """
    if jaxtyping.config.jaxtyping_disable:
        return
    hints = {name: hint for name, hint in annotations(fn).items() if mentions_arrays(hint)}
    hints, arguments = _collected(fn, hints, arguments, rest)
    hints = {name: hint for name, hint in hints.items() if name in arguments}
    if not hints:
        return
    scope = all_arguments(fn, arguments)
    known = dict(vocabulary or {})
    wrong = _in_scope(lambda: _what_is_wrong(who, hints, arguments, known, scope), scope)
    if isinstance(wrong, Exception):
        raise wrong
    if wrong is not None:
        raise ContractError(wrong)


def _collected(
    fn: Any, hints: dict[str, Any], arguments: Mapping[str, Any], rest: tuple[Any, ...]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The annotations and arguments with those of `*args` and `**kwargs` as one tuple and one dict."""
    if not hints:
        return hints, arguments
    wanted = request(fn)
    for name in wanted.collecting:
        if name in hints:
            if wanted.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                hints, values = {**hints, name: tuple[hints[name], ...]}, rest
            else:
                hints = {**hints, name: dict[str, hints[name]]}
                values = {n: v for n, v in arguments.items() if n not in wanted.names and n != "return"}
            arguments = {**arguments, name: values}
    return hints, arguments


@no_type_check
def _what_is_wrong(
    who: str, hints: Mapping[str, Any], arguments: Mapping[str, Any], known: Vocabulary, scope: Mapping[str, Any]
) -> str | Exception | None:
    """What to say of the first argument that doesn't fit; the exception where an annotation itself is wrong."""
    axes = dict(known)
    for name, axis in axes.items():
        _bind(name, axis.length)
    for name, hint in hints.items():
        try:
            fault = _first_fault(hint, arguments[name], "")
        except Exception as e:  # jaxtyping's, or what stands in `{...}` raises it
            e.add_note(f"This is about the annotation of `{name}` of {who}.")
            return e
        if fault is None or fault.where:
            # An axis may have been fixed by another item of the same container.
            for axis_name, length in _axes_in(hint, arguments[name]):
                axes.setdefault(axis_name, Axis(length, name if name != "return" else "the result"))
        if fault is not None:
            return _report(who, name, fault, hints, arguments, axes, known, scope)
    return None


@no_type_check
def _in_scope(run: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
    """Call `run` where axis names are bound afresh, and `{...}` in annotations reads these arguments."""
    # jaxtyping evaluates `{self.size}` among the arguments of the function that it decorates. A lambda, since its
    # import hook would give another function a scope of its own.
    called: Any = lambda **_: run()  # noqa: E731
    names = [name for name in arguments if name.isidentifier() and not keyword.iskeyword(name)]
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    called.__signature__ = inspect.Signature(parameters)
    return jaxtyped(called, typechecker=None)(**{name: arguments[name] for name in names})


def axes_of(hint: Any, value: Any, leading: int = 0) -> dict[str, int]:
    """The lengths of the named axes of `hint` in a value, whose first `leading` axes the hint doesn't speak of.

    Only of axes that stand for themselves: not of `*several`, `#broadcast`, `a+1` or `_`.
    """
    return dict(_axes_in(hint, value, leading))


def mentions_arrays(hint: Any) -> bool:
    """Whether a jaxtyping type occurs in `hint`."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    if _is_pytree(hint) or is_alias(hint):
        return True
    return any(mentions_arrays(arg) for arg in get_args(hint) if not isinstance(arg, str | bytes))


def first_axis(hint: Any) -> str | None:
    """The name of the first axis of an array annotation, in the first array type that has one.

    Without what jaxtyping takes before and after a name: it is `batch` in `#batch`, `?batch`, `_batch` and `batch=8`.
    `*batch` are several axes, or none.
    """
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        names = hint.dim_str.split()
        return names[0].lstrip("#?_").partition("=")[0] if names else None
    inner = (hint.leaftype,) if _is_pytree(hint) and hasattr(hint, "leaftype") else get_args(hint)
    for arg in inner:
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
    if is_alias(hint):
        return _first_fault(hint.__value__, value, where)
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
    if _is_pytree(hint) and hasattr(hint, "leaftype") and mentions_arrays(hint.leaftype):
        return [pair for leaf in jax.tree.leaves(value) for pair in _axes_in(hint.leaftype, leaf, leading)]
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
    vocabulary: Vocabulary,
    scope: Mapping[str, Any],
) -> str:
    result = name == "return"
    head = (
        f"{who} returned something that does not fit its annotation."
        if result
        else f"{who} got a `{name}` that does not fit its annotation."
    )
    width = max(len(n) for n in hints)
    texts = {n: cut(hint_text(h)) for n, h in hints.items()}
    wide = max(len(t) for t in texts.values())
    lines = [head]
    for n in [n for n in hints if n == name or len(hints) <= _SHOWN]:
        mark = ">" if n == name else " "
        lines.append(f"  {mark} {n:<{width}} : {texts[n]:<{wide}}  = {describe(arguments[n])}")
    mentioned = [f"{a} = {axis.length} (from {axis.by})" for a, axis in axes.items()]
    if mentioned:
        lines.append("  axes: " + ", ".join(mentioned))
    where = cut(fault.where, 120)
    spelled = f"the result{where}" if result else f"`{name}{where}`"
    why = cut(_why(spelled, fault, axes, vocabulary, scope), 700)
    return cut("\n".join(lines), 1200) + f"\n  {why}"


@no_type_check
def _why(
    spelled: str, fault: _Fault, axes: Mapping[str, Axis], vocabulary: Vocabulary, scope: Mapping[str, Any]
) -> str:
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
        mend = _mend_of_axes(spelled, hint, value)
        return f"{spelled} has {_axes_count(len(shape))}, {len(names)} {are} expected.{mend}"
    if hint.index_variadic is not None and len(shape) < len(names) - 1:
        return f"{spelled} has {_axes_count(len(shape))}, at least {len(names) - 1} are expected."
    for axis, length in _axes_in(hint, value):
        known = axes.get(axis)
        if known is not None and known.length != length:
            mend = _mend_of_names(axis) if axis in vocabulary and axis != "batch" else ""
            return f"Axis `{axis}` of {spelled} is {length}, and {known.length} from {known.by}.{mend}"
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
    filled = "".join(f" `{n}` is {_filled(n, scope)}." for n in names if "{" in n and _filled(n, scope) != n)
    return f"{spelled} is {array_name(value)}, and the axes expected are `{hint.dim_str}`.{filled}"


def _filled(axis: str, scope: Mapping[str, Any]) -> str:
    """An axis with the arguments in place of `{...}`, where that is easily said."""
    try:
        return axis.format(**scope)
    except Exception:  # an expression, which jaxtyping evaluates and `format` doesn't
        return axis


def _mend_of_names(axis: str) -> str:
    return (
        f" The annotations of the module name an axis `{axis}`, too, and names mean one length in a model. If this is "
        "another axis, call it something else, or set `local_axes = True` on the loss or metric, class or function: "
        "its names are its own then."
    )


def _axes_count(n: int) -> str:
    return f"{n} axis" if n == 1 else f"{n} axes"


def _mend_of_axes(spelled: str, hint: Any, value: Any) -> str:
    """What to do about too many or too few axes."""
    expected, shape = len(hint.dim_str.split()), tuple(value.shape)
    if spelled.startswith("the result"):
        if len(shape) < expected and first_axis(hint) == "batch":
            return (
                " One value per example is expected: average over the other axes only, such as "
                "`jnp.mean(..., axis=-1)`, and never over the batch."
            )
        return ""
    if expected == len(shape) + 1:
        if spelled.startswith("`y_true") and jnp.issubdtype(value.dtype, jnp.integer):
            return (
                " Are these class indices? Then make one-hot labels of them, `jax.nn.one_hot(y, num_classes)`, or use "
                "a loss or metric of class indices."
            )
        forgot = "Did the module forget" if spelled.startswith("`y_pred") else "Does it lack"
        return f" {forgot} a last axis of length 1?"
    if expected == len(shape) - 1 and shape[-1] == 1:
        return " Is its last axis of length 1 one too many?"
    return ""
