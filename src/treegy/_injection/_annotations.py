"""The annotations of a function, evaluated. The only place that reads those written as strings.

Annotations may be strings that nobody has evaluated: all of them under `from __future__ import annotations`, those of
names that exist for type checkers only. Here they are evaluated in all the scopes that their author may have meant,
down to the imports under `if TYPE_CHECKING:`, which are read from the source. Aliases and type variables become what
they stand for, so that everyone else reads plain types.
"""

import importlib
import types
import weakref
from collections.abc import Mapping
from typing import Annotated, Any, ForwardRef, Literal, NewType, TypeVar, Union, get_args, get_origin

import jaxtyping

from .._types import Function, Hint
from .._warn import warn
from ._scope import Scope, UnknownName

_PYTREE = type(jaxtyping.PyTree)

_warned: weakref.WeakSet[Any] = weakref.WeakSet()


def evaluated(fn: Function, cls: type | None = None) -> dict[str, Hint]:
    """Return the annotations of a Python function or a class, `return` among them.

    One that can't be evaluated is left out, and warned of once.

    **Arguments:**

    - `fn`: the function as its author wrote it, or the class.
    - `cls`: the class whose method it is called as, if it is one.
    """
    if getattr(fn, "__no_type_check__", False):
        return {}
    hints: dict[str, Hint] = {}
    unknown: dict[str, tuple[str, UnknownName]] = {}
    for holder in reversed(fn.__mro__) if isinstance(fn, type) else [fn]:
        scope = Scope(holder, cls)
        for name, hint in _as_written(holder).items():
            try:
                hints[name] = _plain(hint, scope, ())
            except UnknownName as e:
                unknown[name] = (hint if isinstance(hint, str) else str(hint), e)
    if unknown and fn not in _warned:
        _warned.add(fn)
        warn(_message(fn, unknown))
    return hints


def is_alias(hint: Hint) -> bool:
    """Whether `hint` was made by a `type` statement. Only one that occurs in itself is left by `evaluated`."""
    # From Python 3.12 on it is in `typing`, and before in `typing_extensions`.
    return type(hint).__name__ == "TypeAliasType"


def _message(fn: Function, unknown: Mapping[str, tuple[str, UnknownName]]) -> str:
    several = len(unknown) > 1
    shown = [f"`{name}: {_short(text)}` ({_short(str(e))})" for name, (text, e) in list(unknown.items())[:3]]
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    return (
        f"`{fn.__qualname__.split('<locals>.')[-1]}` has {'annotations' if several else 'an annotation'} that can't be "
        f"evaluated, so {'they count' if several else 'it counts'} for nothing: {', '.join(shown)}{more}. Import or "
        "define what is named where it is there at run time: at the top of the module, and not under "
        "`if TYPE_CHECKING:`."
    )


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."


def _as_written(holder: object) -> dict[str, Hint]:
    try:
        found = holder.__annotations__
    except AttributeError:
        return {}
    except Exception:
        # From Python 3.14 on, annotations are evaluated when they are asked for.
        library = importlib.import_module("annotationlib")
        found = library.get_annotations(holder, format=library.Format.STRING)
    return dict(found)


def _plain(hint: Hint, scope: "Scope", within: tuple[Hint, ...]) -> Hint:
    """`hint` with everything evaluated, and without aliases and type variables.

    **Arguments:**

    - `within`: the aliases that are being replaced: one may occur in itself.
    """
    if isinstance(hint, str | ForwardRef):
        return _plain(scope.evaluate(hint if isinstance(hint, str) else hint.__forward_arg__), scope, within)
    if hint is None:
        return type(None)
    if is_alias(hint):
        return hint if hint in within else _plain(scope.value_of(hint), scope, (*within, hint))
    if isinstance(hint, TypeVar):
        return _of_variable(hint, scope, within)
    if isinstance(hint, NewType):
        return _plain(hint.__supertype__, scope, within)
    if isinstance(hint, type) and type(hint) is _PYTREE:
        return _pytree(hint, scope, within)
    return _of_parts(hint, scope, within)


def _of_variable(variable: Hint, scope: "Scope", within: tuple[Hint, ...]) -> Hint:
    try:
        allowed = variable.__constraints__ or (variable.__bound__,)
    except NameError as e:  # evaluated when it is asked for, where it is written in brackets
        raise UnknownName(f"of the type variable {variable}: {e}") from None
    if allowed == (None,):
        return Any
    return Union[tuple(_plain(each, scope, within) for each in allowed)]  # noqa: UP007


def _pytree(hint: Hint, scope: "Scope", within: tuple[Hint, ...]) -> Hint:
    old = getattr(hint, "leaftype", None)
    new = None if old is None else _plain(old, scope, within)
    if new is old:
        return hint
    structure = getattr(hint, "structure", None)
    return jaxtyping.PyTree[new] if structure is None else jaxtyping.PyTree[new, structure]


def _of_parts(hint: Hint, scope: "Scope", within: tuple[Hint, ...]) -> Hint:
    origin, old = get_origin(hint), get_args(hint)
    if origin is None or origin is Literal or not old:
        return hint
    if is_alias(origin):  # with parameters of its own
        value = scope.value_of(origin)
        parameters = getattr(origin, "__type_params__", ())
        return _plain(_substituted(value, dict(zip(parameters, old, strict=False))), scope, within)
    # What follows in `Annotated` says something about the type, and is none.
    new = tuple(
        part if (origin is Annotated and i > 0) or not _is_hint(part) else _plain(part, scope, within)
        for i, part in enumerate(old)
    )
    return hint if all(a is b for a, b in zip(old, new, strict=True)) else _with_parts(hint, new)


def _substituted(hint: Hint, values: Mapping[Any, Any]) -> Hint:
    """`hint` with other values for the type variables in it."""
    if isinstance(hint, TypeVar):
        return values.get(hint, hint)
    if isinstance(hint, type) and type(hint) is _PYTREE:
        leaf, structure = _substituted(getattr(hint, "leaftype", Any), values), getattr(hint, "structure", None)
        return jaxtyping.PyTree[leaf] if structure is None else jaxtyping.PyTree[leaf, structure]
    old = get_args(hint)
    return _with_parts(hint, tuple(_substituted(part, values) for part in old)) if old else hint


def _with_parts(hint: Hint, parts: tuple[Hint, ...]) -> Hint:
    origin: Any = get_origin(hint)
    if origin is Union or origin is types.UnionType:
        return Union[parts]  # noqa: UP007
    if origin is Annotated:
        return Annotated[parts]
    if isinstance(hint, types.GenericAlias):
        return types.GenericAlias(origin, parts)
    return hint.copy_with(parts) if hasattr(hint, "copy_with") else hint


def _is_hint(part: object) -> bool:
    return part is not Ellipsis and not isinstance(part, list | tuple)  # these are in a `Callable` or a `ParamSpec`


# What the source declares
