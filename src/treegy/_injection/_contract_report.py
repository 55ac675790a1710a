"""What a `ContractError` says: every argument beside its annotation, who fixed each axis, and what to do."""

from collections.abc import Mapping
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import AbstractArray, Shaped

from .._describe import array_name, cut, describe, is_arraylike
from .._types import Hint, PyTree, Values
from ._hints import Axis, Fault, Vocabulary, axes_in, first_axis, fits, hint_text

# How many arguments an error shows beside the one that is wrong.
_SHOWN = 8


@no_type_check
def report(
    who: str,
    name: str,
    fault: Fault,
    hints: Mapping[str, Hint],
    arguments: Values,
    axes: Mapping[str, Axis],
    vocabulary: Vocabulary,
    scope: Values,
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
def _why(spelled: str, fault: Fault, axes: Mapping[str, Axis], vocabulary: Vocabulary, scope: Values) -> str:
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
    for axis, length in axes_in(hint, value):
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
    for axis, length in axes_in(hint, value):
        if seen.setdefault(axis, length) != length:
            return f"Axis `{axis}` of {spelled} is both {seen[axis]} and {length}."
    if not isinstance(value, hint) and fits(value, Shaped[Any, hint.dim_str]):
        kind = hint.__name__.split("[")[0]
        return f"{spelled} is {array_name(value)}, and the dtype expected is {kind}."
    filled = "".join(f" `{n}` is {_filled(n, scope)}." for n in names if "{" in n and _filled(n, scope) != n)
    return f"{spelled} is {array_name(value)}, and the axes expected are `{hint.dim_str}`.{filled}"


def _filled(axis: str, scope: Values) -> str:
    """Return an axis with the arguments in place of `{...}`, where that is easily said."""
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


def _mend_of_axes(spelled: str, hint: Hint, value: PyTree) -> str:
    """Return what to do about too many or too few axes."""
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
