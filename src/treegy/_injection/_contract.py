"""Checking values against annotations while tracing. The only place that reads what annotations mean.

The check itself is jaxtyping's (and beartype's, for what isn't an array); here lie the scopes in which axis names mean
the same length, and the words for what doesn't fit.
"""

import inspect
import keyword
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin, no_type_check

import jax
import jaxtyping
import numpy as np
from jaxtyping import AnnotationError, Shaped, jaxtyped

from .._describe import path_name
from .._errors import ContractError
from .._types import Function, Hint, Length, Values
from ._annotations import is_alias
from ._contract_report import report
from ._hints import Axis, Fault, Vocabulary, axes_in, bearable, fits, is_pytree, mentions_arrays
from ._inject import all_arguments, annotations, request


def check(
    fn: Function,
    arguments: Values,
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
    fn: Function, hints: dict[str, Hint], arguments: Values, rest: tuple[Any, ...]
) -> tuple[dict[str, Hint], Values]:
    """Return the annotations and arguments with those of `*args` and `**kwargs` as one tuple and one dict."""
    if not hints:
        return hints, arguments
    wanted = request(fn)
    if wanted.args in hints:
        hints = {**hints, wanted.args: tuple[hints[wanted.args], ...]}
        arguments = {**arguments, wanted.args: rest}
    if wanted.kwargs in hints:
        others = {n: v for n, v in arguments.items() if n not in (*wanted.names, wanted.args, "return")}
        hints = {**hints, wanted.kwargs: dict[str, hints[wanted.kwargs]]}
        arguments = {**arguments, wanted.kwargs: others}
    return hints, arguments


@no_type_check
def _what_is_wrong(
    who: str, hints: Mapping[str, Hint], arguments: Values, known: Vocabulary, scope: Values
) -> str | Exception | None:
    """Return what to say of the first argument that doesn't fit; the exception where an annotation itself is wrong."""
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
            for axis_name, length in axes_in(hint, arguments[name]):
                axes.setdefault(axis_name, Axis(length, name if name != "return" else "the result"))
        if fault is not None:
            return report(who, name, fault, hints, arguments, axes, known, scope)
    return None


@no_type_check
def _in_scope(run: Callable[[], Any], arguments: Values) -> Any:
    """Call `run` where axis names are bound afresh, and `{...}` in annotations reads these arguments."""
    # jaxtyping evaluates `{self.size}` among the arguments of the function that it decorates. A lambda, since its
    # import hook would give another function a scope of its own.
    called: Any = lambda **_: run()  # noqa: E731
    names = [name for name in arguments if name.isidentifier() and not keyword.iskeyword(name)]
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    called.__signature__ = inspect.Signature(parameters)
    return jaxtyped(called, typechecker=None)(**{name: arguments[name] for name in names})


def axes_of(hint: Hint, value: object, leading: int = 0) -> dict[str, Length]:
    """Return the lengths of the named axes of `hint` in a value, whose first `leading` axes the hint doesn't speak of.

    Only of axes that stand for themselves: not of `*several`, `#broadcast`, `a+1` or `_`.
    """
    return dict(axes_in(hint, value, leading))


# `no_type_check` here and below: jaxtyping's import hook gives each function a scope of its own, and these bind axis
# names in that of `check`.
@no_type_check
def _bind(name: str, length: int) -> None:
    # An array of no elements, whose second axis has the name: checking it binds the name in the current scope.
    fits(np.empty((0, length), bool), Shaped[np.ndarray, f"_ {name}"])


@no_type_check
def _first_fault(hint: Hint, value: object, where: str) -> Fault | None:
    """Return the first place at which `value` doesn't fit `hint`.

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
            if fault is None and (mentions_arrays(arm) or bearable(value, arm)):
                return None
            faults.append(fault)
        arms = [f for f in faults if f is not None and f.hint is not type(None)]
        # One arm besides `None` is what was meant; of several, the whole union is the most honest answer.
        return arms[0] if len(arms) == 1 and value is not None else Fault(where, hint, value)
    if isinstance(origin, type) and args:
        if issubclass(origin, tuple):
            return _fault_in_tuple(hint, args, value, where)
        if issubclass(origin, Mapping):
            if not isinstance(value, Mapping):
                return Fault(where, hint, value)
            faults = (_first_fault(args[1], v, f"{where}[{k!r}]") for k, v in value.items())
            return next((f for f in faults if f is not None), None)
        if issubclass(origin, Sequence):
            if not isinstance(value, Sequence) or isinstance(value, str):
                return Fault(where, hint, value)
            faults = (_first_fault(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
            return next((f for f in faults if f is not None), None)
    if bearable(value, hint):
        return None
    return _fault_in_leaves(hint, value, where) or Fault(where, hint, value)


@no_type_check
def _fault_in_leaves(hint: Hint, value: object, where: str) -> Fault | None:
    """Return the leaf at which `value` doesn't fit a `PyTree[...]`, if it is a leaf."""
    if not is_pytree(hint) or not mentions_arrays(hint.leaftype):
        return None
    leaves = jax.tree_util.tree_leaves_with_path(value)
    faults = (_first_fault(hint.leaftype, leaf, where + path_name(path)) for path, leaf in leaves)
    try:
        return next((f for f in faults if f is not None), None)
    except AnnotationError:
        return None  # axes such as `?n` mean something in the whole tree only


@no_type_check
def _fault_in_tuple(hint: Hint, args: tuple[Any, ...], value: object, where: str) -> Fault | None:
    if not isinstance(value, tuple):
        return Fault(where, hint, value)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        return Fault(where, hint, value)
    faults = (_first_fault(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True)))
    return next((f for f in faults if f is not None), None)
