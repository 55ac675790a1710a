"""Calling a function with the values that its signature names. The only place that reads signatures."""

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import equinox as eqx

from .._describe import cut, describe, did_you_mean
from .._errors import InjectionError
from .._types import Function, Hint, Values
from ._annotations import evaluated
from ._at import At

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)


# How many of the values that there are an error lists.
_SHOWN = 16


class Request(NamedTuple):
    """What a function asks for."""

    names: tuple[str, ...]
    """The parameters that can be passed by name, in order."""
    required: frozenset[str]
    """Those of them that have no default."""
    positional: tuple[str, ...]
    """Those of them that can be passed by position."""
    only_positional: tuple[str, ...] = ()
    """Those of these that can't be passed by name."""
    args: str | None = None
    """What `*args` is called, if there is one."""
    kwargs: str | None = None
    """What the `**kwargs` is called that takes whatever else there is."""
    signature: inspect.Signature | None = None
    """What all this was read from; `None` for what is said to be asked for, without a function that names it."""

    @property
    def everything(self) -> bool:
        """Whether there is a `**kwargs` that takes whatever else there is."""
        return self.kwargs is not None

    @property
    def variadic(self) -> bool:
        """Whether there is an `*args`."""
        return self.args is not None

    @property
    def text(self) -> str:
        """The signature without annotations, which are long and say nothing about names."""
        if self.signature is None:
            shown = [name if name in self.required else f"{name}=..." for name in self.names]
            return cut(f"({', '.join(shown)})", 400)
        parameters = [p.replace(annotation=p.empty) for p in self.signature.parameters.values()]
        return cut(str(self.signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)), 400)

    def __contains__(self, name: object) -> bool:
        return self.everything or name in self.names

    def joined(self, required: Iterable[str], optional: Iterable[str]) -> "Request":
        """Return a request for these values as well, by name."""
        added = dict.fromkeys(n for n in (*required, *optional) if n not in self.names)
        newly = self.required | {n for n in required if n in added}
        return Request((*self.names, *added), newly, self.positional, kwargs=self.kwargs)


class Written(NamedTuple):
    """A Python function as its author wrote it, and what is bound to it already."""

    fn: Function
    args: tuple[Any, ...]
    """The arguments by position, of which the first is the `self` of a method."""
    keywords: dict[str, Any]


def written(fn: Function) -> Any:
    """Return the Python function as its author wrote it: under methods, decorators, partials and objects."""
    return _unwrapped(fn).fn


def _unwrapped(fn: Any) -> Written:
    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    while True:
        if isinstance(fn, functools.partial | eqx.Partial):
            args, keywords, fn = (*fn.args, *args), {**fn.keywords, **keywords}, fn.func
        elif inspect.ismethod(fn) or hasattr(fn, "__func__"):
            args = (fn.__self__, *args) if hasattr(fn, "__self__") else args
            fn = fn.__func__
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif inspect.isfunction(fn) or inspect.isbuiltin(fn) or isinstance(fn, type):
            return Written(fn, args, keywords)
        elif _is_written_call(type(fn)):
            args, fn = (fn, *args), type(fn).__call__
        else:
            return Written(fn, args, keywords)


def _is_written_call(cls: object) -> bool:
    """Whether instances of `cls` are called by a function in Python, as opposed to one in C."""
    method = inspect.getattr_static(cls, "__call__", None)
    return inspect.isfunction(method) or hasattr(method, "__wrapped__")


def request(fn: Function) -> Request:
    """What `fn` asks for, read from its signature under any decorator.

    **Raises:** [`treegy.InjectionError`][] if it has none, as some functions written in C.
    """
    # An `eqx.Partial` itself takes anything.
    called = functools.partial(fn.func, *fn.args, **fn.keywords) if isinstance(fn, eqx.Partial) else fn
    try:
        signature = inspect.signature(called)
    except (ValueError, TypeError):
        raise InjectionError(
            f"`{function_name(fn)}` has no signature to read the names of its arguments from. "
            "Wrap it in a function or lambda that names them."
        ) from None
    parameters = signature.parameters.values()
    named = [p for p in parameters if p.kind in _NAMED]
    collecting = {p.kind: p.name for p in parameters}
    return Request(
        tuple(p.name for p in named),
        frozenset(p.name for p in named if p.default is p.empty),
        tuple(p.name for p in named if p.kind in _POSITIONAL),
        tuple(p.name for p in named if p.kind is p.POSITIONAL_ONLY),
        collecting.get(inspect.Parameter.VAR_POSITIONAL),
        collecting.get(inspect.Parameter.VAR_KEYWORD),
        signature,
    )


def function_name(fn: Function) -> str:
    """Return what to call `fn` in an error: its own name, else that of its class.

    A method is one of the object's class, as users spell it, also where it is inherited.
    """
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, eqx.Module):
        return f"{type(owner).__name__}.{fn.__name__}"
    name = getattr(fn, "__qualname__", None) or getattr(written(fn), "__qualname__", None)
    if name is None:
        return type(fn).__name__
    return name.split("<locals>.")[-1]


def annotations(fn: Function) -> dict[str, Hint]:
    """Return the annotations of `fn`, with those written as strings evaluated; `return` among them.

    One that can't be evaluated is left out, with a warning.
    """
    fn, args, _ = _unwrapped(fn)
    return evaluated(fn, type(args[0]) if args else None)


def all_arguments(fn: Function, arguments: Values) -> dict[str, Any]:
    """Return what all parameters of `fn` are when it is called with `arguments`: `self` and defaults among them."""
    fn, args, keywords = _unwrapped(fn)
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (ValueError, TypeError):
        return dict(arguments)
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    found.update(zip((p.name for p in parameters if p.kind in _POSITIONAL), args, strict=False))
    return {**found, **keywords, **arguments}


def places(fn: Function) -> dict[str, At]:
    """Return the `tg.At` of each annotation that has one."""
    found: dict[str, At] = {}
    for name, hint in annotations(fn).items():
        if get_origin(hint) is Annotated:
            for extra in get_args(hint)[1:]:
                if isinstance(extra, At):
                    found[name] = extra
    return found


def inject(fn: Function, /, **available: Any) -> Any:
    """Call `fn` with those of `available` that its signature names.

    A parameter with a default is optional; `**kwargs` takes everything that is left. An annotation may say which part
    of a value is wanted: `y_pred: Annotated[Float[Array, "batch"], tg.At("logits")]`.

    **Arguments:**

    - `fn`: any callable with a signature.
    - `**available`: the values there are, by name.

    **Returns:**

    Whatever `fn` returns.

    **Raises:** [`treegy.InjectionError`][] if `fn` requires a name that isn't there.

    !!! example

        ```python
        import treegy as tg

        def area(width, height, unit="m"):
            return f"{width * height} {unit}²"

        assert tg.inject(area, width=2, height=3, depth=4) == "6 m²"
        ```
    """
    arguments = bind(fn, available, f"`{function_name(fn)}`")
    return call(fn, arguments)


def bind(fn: Function, available: Values, who: str, absent: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the arguments that `fn` asks for, by name.

    **Arguments:**

    - `fn`: the function to be called.
    - `available`: the values there are.
    - `who`: how to call `fn` in an error.
    - `absent`: for names that are known but not available now, the reason.
    """
    return taken(request(fn), places(fn), available, who, function_name(fn), absent)


def taken(
    wanted: Request,
    places: Mapping[str, At],
    available: Values,
    who: str,
    label: str,
    absent: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the arguments that are asked for, by name.

    **Arguments:**

    - `wanted`: what is asked for.
    - `places`: which part of an argument is wanted, by its name.
    - `available`, `who`, `absent`: as in `bind`.
    - `label`: what is called.
    """
    missing = [n for n in wanted.names if n in wanted.required and n not in available]
    if missing:
        raise missing_argument(wanted, missing[0], available, who, label, absent)
    arguments = {n: available[n] for n in wanted.names if n in available}
    if wanted.everything:
        arguments.update({n: v for n, v in available.items() if n not in arguments})
    for name, place in places.items():
        if name in arguments:
            try:
                arguments[name] = place(arguments[name], name)
            except InjectionError as e:
                raise InjectionError(f"{who} asks for `{name}` at {place!r}, but {e}") from None
    return arguments


def call(fn: Function, arguments: Values) -> Any:
    """Call `fn` with arguments by name, of which positional-only ones are passed by position."""
    only_by_position = request(fn).only_positional
    positional = [arguments[n] for n in only_by_position if n in arguments]
    named = {n: v for n, v in arguments.items() if n not in only_by_position}
    return fn(*positional, **named)


def missing_argument(
    wanted: Request,
    name: str,
    available: Values,
    who: str,
    label: str,
    absent: Mapping[str, str] | None = None,
) -> InjectionError:
    """Return the error for a parameter that nothing is there for."""
    lines = [f"{who} asks for `{name}`, which is not available."]
    lines.append(f"  signature: {label}{wanted.text}")
    if available:
        shown = [f"{cut(str(n), 60)} = {cut(describe(v), 120)}" for n, v in list(available.items())[:_SHOWN]]
        more = f" and {len(available) - _SHOWN} more" if len(available) > _SHOWN else ""
        lines.append("  available: " + cut(", ".join(shown), 700) + more)
    else:
        lines.append("  available: nothing")
    near = did_you_mean(name, available)
    if absent and name in absent:
        lines.append(f"  {absent[name]}")
    elif near:
        lines.append(f" {near}")
    else:
        lines.append("  Give it a default if it is optional.")
    return InjectionError("\n".join(lines))
