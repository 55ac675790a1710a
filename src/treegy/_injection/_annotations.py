"""The annotations of a function, evaluated. The only place that reads those written as strings.

Annotations may be strings that nobody has evaluated: all of them under `from __future__ import annotations`, those of
names that exist for type checkers only. Here they are evaluated in all the scopes that their author may have meant,
down to the imports under `if TYPE_CHECKING:`, which are read from the source. Aliases and type variables become what
they stand for, so that everyone else reads plain types.
"""

import ast
import functools
import importlib
import importlib.util
import linecache
import sys
import types
import weakref
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ForwardRef, Literal, NewType, TypeVar, Union, get_args, get_origin

import jaxtyping

from .._warn import warn

_PYTREE = type(jaxtyping.PyTree)

_warned: weakref.WeakSet[Any] = weakref.WeakSet()


class _Unknown(Exception):
    """An annotation that can't be evaluated, and why."""


def evaluated(fn: Any, cls: type | None = None) -> dict[str, Any]:
    """The annotations of a Python function or a class, `return` among them.

    One that can't be evaluated is left out, and warned of once.

    **Arguments:**

    - `fn`: the function as its author wrote it, or the class.
    - `cls`: the class whose method it is called as, if it is one.
    """
    if getattr(fn, "__no_type_check__", False):
        return {}
    hints: dict[str, Any] = {}
    unknown: dict[str, tuple[str, _Unknown]] = {}
    for holder in reversed(fn.__mro__) if isinstance(fn, type) else [fn]:
        scope = _Scope(holder, cls)
        for name, hint in _as_written(holder).items():
            try:
                hints[name] = _plain(hint, scope, ())
            except _Unknown as e:
                unknown[name] = (hint if isinstance(hint, str) else str(hint), e)
    if unknown and fn not in _warned:
        _warned.add(fn)
        warn(_message(fn, unknown))
    return hints


def is_alias(hint: Any) -> bool:
    """Whether `hint` was made by a `type` statement. Only one that occurs in itself is left by `evaluated`."""
    # From Python 3.12 on it is in `typing`, and before in `typing_extensions`.
    return type(hint).__name__ == "TypeAliasType"


def _message(fn: Any, unknown: Mapping[str, tuple[str, _Unknown]]) -> str:
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


def _as_written(holder: Any) -> dict[str, Any]:
    try:
        found = holder.__annotations__
    except AttributeError:
        return {}
    except Exception:
        # From Python 3.14 on, annotations are evaluated when they are asked for.
        library = importlib.import_module("annotationlib")
        found = library.get_annotations(holder, format=library.Format.STRING)
    return dict(found)


def _plain(hint: Any, scope: "_Scope", within: tuple[Any, ...]) -> Any:
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


def _of_variable(variable: Any, scope: "_Scope", within: tuple[Any, ...]) -> Any:
    try:
        allowed = variable.__constraints__ or (variable.__bound__,)
    except NameError as e:  # evaluated when it is asked for, where it is written in brackets
        raise _Unknown(f"of the type variable {variable}: {e}") from None
    if allowed == (None,):
        return Any
    return Union[tuple(_plain(each, scope, within) for each in allowed)]  # noqa: UP007


def _pytree(hint: Any, scope: "_Scope", within: tuple[Any, ...]) -> Any:
    old = getattr(hint, "leaftype", None)
    new = None if old is None else _plain(old, scope, within)
    if new is old:
        return hint
    structure = getattr(hint, "structure", None)
    return jaxtyping.PyTree[new] if structure is None else jaxtyping.PyTree[new, structure]


def _of_parts(hint: Any, scope: "_Scope", within: tuple[Any, ...]) -> Any:
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


def _substituted(hint: Any, values: Mapping[Any, Any]) -> Any:
    """`hint` with other values for the type variables in it."""
    if isinstance(hint, TypeVar):
        return values.get(hint, hint)
    if isinstance(hint, type) and type(hint) is _PYTREE:
        leaf, structure = _substituted(getattr(hint, "leaftype", Any), values), getattr(hint, "structure", None)
        return jaxtyping.PyTree[leaf] if structure is None else jaxtyping.PyTree[leaf, structure]
    old = get_args(hint)
    return _with_parts(hint, tuple(_substituted(part, values) for part in old)) if old else hint


def _with_parts(hint: Any, parts: tuple[Any, ...]) -> Any:
    origin: Any = get_origin(hint)
    if origin is Union or origin is types.UnionType:
        return Union[parts]  # noqa: UP007
    if origin is Annotated:
        return Annotated[parts]
    if isinstance(hint, types.GenericAlias):
        return types.GenericAlias(origin, parts)
    return hint.copy_with(parts) if hasattr(hint, "copy_with") else hint


def _is_hint(part: Any) -> bool:
    return part is not Ellipsis and not isinstance(part, list | tuple)  # these are in a `Callable` or a `ParamSpec`


class _Scope:
    """Everything that a name in an annotation of a function may mean."""

    def __init__(self, holder: Any, cls: type | None):
        self._holder = holder
        self._cls = cls
        module = sys.modules.get(getattr(holder, "__module__", None) or "")
        self._globals: dict[str, Any] = getattr(holder, "__globals__", None) or getattr(module, "__dict__", {})

    def evaluate(self, text: str) -> Any:
        try:
            return eval(text.strip(), self._globals, _Lookup(self._find))
        except Exception as e:  # whatever evaluating somebody's string may raise
            raise _Unknown(f"{type(e).__name__}: {e}") from None

    def value_of(self, alias: Any) -> Any:
        """What a `type` statement says."""
        try:
            return alias.__value__
        except Exception as e:
            # Its names may be for type checkers, too.
            module = sys.modules.get(alias.__module__ or "")
            try:
                return _declared(getattr(module, "__dict__", self._globals), _file_of(module, ""), alias.__name__)
            except KeyError:
                raise _Unknown(f"of `type {alias.__name__}`: {type(e).__name__}: {e}") from None

    def _find(self, name: str) -> Any:
        for names in self._scopes():
            if name in names:
                return names[name]
        if name in self._globals:
            return self._globals[name]
        code = getattr(self._holder, "__code__", None)
        file = getattr(code, "co_filename", "") or _file_of(sys.modules.get(self._holder.__module__), "")
        return _declared(self._globals, file, name, self._around())

    def _around(self) -> list[str]:
        """The names of the functions in which this one, or its class, was made."""
        parts = self._holder.__qualname__.split(".<locals>")[:-1]
        return [part.removeprefix(".") for part in parts]

    def _scopes(self) -> Iterator[Mapping[str, Any]]:
        """The names of inner scopes, from the inside out."""
        yield _type_parameters(self._holder)
        yield _closure(self._holder)
        for cls in (self._holder,) if isinstance(self._holder, type) else _classes(self._holder, self._cls):
            yield _type_parameters(cls)
            yield vars(cls)
            yield {cls.__name__: cls}
        # A function that defined the class, as long as it runs.
        around = self._holder.__qualname__.rpartition(".<locals>.")[0]
        frame = sys._getframe() if around else None  # pyright: ignore[reportPrivateUsage]
        while frame is not None:
            code = frame.f_code
            if frame.f_globals is self._globals and (around + ".").startswith(code.co_qualname + "."):
                yield frame.f_locals
            frame = frame.f_back


class _Lookup(Mapping[str, Any]):
    """Names that are looked up when they are asked for."""

    def __init__(self, find: Any):
        self._find = find

    def __getitem__(self, name: str) -> Any:
        return self._find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _type_parameters(thing: Any) -> dict[str, Any]:
    return {variable.__name__: variable for variable in getattr(thing, "__type_params__", ())}


def _closure(fn: Any) -> dict[str, Any]:
    code = getattr(fn, "__code__", None)
    found: dict[str, Any] = {}
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(fn, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    return found


def _classes(fn: Any, cls: type | None) -> list[type]:
    """The class in whose body `fn` was written, if it is known."""
    within = fn.__qualname__.rpartition(".")[0]
    return [c for c in getattr(cls, "__mro__", ()) if c.__qualname__ == within and c.__module__ == fn.__module__]


# What the source declares


def _file_of(module: Any, default: str) -> str:
    return getattr(module, "__file__", None) or default


def _declared(names: dict[str, Any], file: str, name: str, around: list[str] | None = None) -> Any:
    """What a name is by the source of a module: imported for type checkers, or an alias within a function.

    **Raises:** `KeyError` if the source doesn't say, or it is of a module that hasn't been imported.
    """
    source = "".join(linecache.getlines(file, names)) if file else ""
    if not source:
        raise KeyError(name)
    try:
        scopes = [_declarations(source, tuple((around or [])[:depth])) for depth in range(len(around or []), -1, -1)]
    except (SyntaxError, RecursionError):
        raise KeyError(name) from None
    package = names.get("__package__") or names.get("__name__", "").rpartition(".")[0]
    for declared in scopes:
        node = declared.get(name)
        if isinstance(node, ast.expr):
            find = functools.partial(_declared_or_there, names, file, around)
            return eval(compile(ast.Expression(node), file, "eval"), names, _Lookup(find))
        if node is not None:
            return _imported(node, package)
        for star in declared.get("*", ()):
            try:
                return _imported((star, name, 0), package)
            except KeyError:
                continue
    raise KeyError(name)


def _declared_or_there(names: dict[str, Any], file: str, around: list[str] | None, name: str) -> Any:
    return names[name] if name in names else _declared(names, file, name, around)


def _imported(wanted: tuple[str, str | None, int], package: str) -> Any:
    """What an import gives. Nothing is imported for it: that might do anything.

    **Arguments:**

    - `wanted`: the module's name, what of it, and how many dots are before it.
    """
    module_name, attribute, level = wanted
    if level:
        module_name = importlib.util.resolve_name("." * level + module_name, package)
    module = sys.modules.get(module_name)
    if attribute is None:
        if module is None:
            raise KeyError(module_name)
        return module
    if hasattr(module, attribute):
        return getattr(module, attribute)
    inner = sys.modules.get(f"{module_name}.{attribute}")
    if inner is not None:
        return inner
    if module is None:
        raise KeyError(module_name)
    return _declared(vars(module), _file_of(module, ""), attribute)  # there, too, it may be for type checkers


# A class that only a function has had is nothing that arrays are checked against.
_SOME_CLASS = ast.fix_missing_locations(ast.Expression(ast.Name("object", ast.Load()))).body


@functools.lru_cache(maxsize=64)
def _declarations(source: str, around: tuple[str, ...]) -> dict[str, Any]:
    """What is imported, and which aliases are defined, in a module or in a function in it.

    **Arguments:**

    - `around`: the names of the functions and classes to go into, each as in a qualified name.
    """
    body: list[Any] = ast.parse(source).body
    for name in ".".join(around).split(".") if around else ():
        inner = [node for node in _statements(body) if getattr(node, "name", None) == name and hasattr(node, "body")]
        body = inner[-1].body if inner else []
    found: dict[str, Any] = {"*": []}
    for node in _statements(body):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*":
                    found["*"].append(node.module or "")
                else:
                    found[alias.asname or alias.name] = (node.module or "", alias.name, node.level)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or top] = (top, None, 0)
        elif isinstance(node, ast.ClassDef):
            found[node.name] = _SOME_CLASS
        elif isinstance(node, ast.Assign | ast.AnnAssign) or type(node).__name__ == "TypeAlias":
            target = _target(node)
            if target is not None and _is_alias(node.value):
                found[target] = node.value
    return found


def _statements(body: list[Any]) -> Iterator[Any]:
    """The statements of a scope, those under `if`, `try` and `with` among them."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _statements([*node.body, *getattr(node, "orelse", [])])


def _target(node: Any) -> str | None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target if hasattr(node, "target") else node.name]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _is_alias(node: Any) -> bool:
    """Whether an expression can only be a type: names and what is in brackets after them. Calls might do anything."""
    allowed = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.List, ast.BinOp, ast.BitOr)
    plain = isinstance(node, ast.Subscript | ast.Attribute | ast.BinOp | ast.Name)
    return plain and all(isinstance(part, (*allowed, ast.expr_context)) for part in ast.walk(node))
