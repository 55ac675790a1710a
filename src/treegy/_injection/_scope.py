"""Where names in annotations are looked up: a function, its class, its module, and what only a checker reads."""

import ast
import functools
import importlib
import importlib.util
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._types import Function, Hint


class Scope:
    """Everything that a name in an annotation of a function may mean."""

    def __init__(self, holder: Any, cls: type | None):
        self._holder = holder
        self._cls = cls
        module = sys.modules.get(getattr(holder, "__module__", None) or "")
        self._globals: dict[str, Any] = getattr(holder, "__globals__", None) or getattr(module, "__dict__", {})

    def evaluate(self, text: str) -> Hint:
        try:
            return eval(text.strip(), self._globals, _Lookup(self._find))
        except Exception as e:  # whatever evaluating somebody's string may raise
            raise UnknownName(f"{type(e).__name__}: {e}") from None

    def value_of(self, alias: Hint) -> Hint:
        """Return what a `type` statement says."""
        try:
            return alias.__value__
        except Exception as e:
            # Its names may be for type checkers, too.
            module = sys.modules.get(alias.__module__ or "")
            try:
                return _declared(getattr(module, "__dict__", self._globals), _file_of(module, ""), alias.__name__)
            except KeyError:
                raise UnknownName(f"of `type {alias.__name__}`: {type(e).__name__}: {e}") from None

    def _find(self, name: str) -> object:
        for names in self._scopes():
            if name in names:
                return names[name]
        if name in self._globals:
            return self._globals[name]
        code = getattr(self._holder, "__code__", None)
        file = getattr(code, "co_filename", "") or _file_of(sys.modules.get(self._holder.__module__), "")
        return _declared(self._globals, file, name, self._around())

    def _around(self) -> list[str]:
        """Return the names of the functions in which this one, or its class, was made."""
        parts = self._holder.__qualname__.split(".<locals>")[:-1]
        return [part.removeprefix(".") for part in parts]

    def _scopes(self) -> Iterator[Mapping[str, object]]:
        """Yield the names of inner scopes, from the inside out."""
        yield _type_parameters(self._holder)
        yield _closure(self._holder)
        for cls in (self._holder,) if isinstance(self._holder, type) else classes_of(self._holder, self._cls):
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

    def __init__(self, find: Callable[[str], object]):
        self._find = find

    def __getitem__(self, name: str) -> Any:
        return self._find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _type_parameters(thing: object) -> dict[str, object]:
    return {variable.__name__: variable for variable in getattr(thing, "__type_params__", ())}


def _closure(fn: Function) -> dict[str, object]:
    code = getattr(fn, "__code__", None)
    found: dict[str, Any] = {}
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(fn, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    return found


def classes_of(fn: Function, cls: type | None) -> list[type]:
    """Return the class in whose body `fn` was written, if it is known."""
    within = fn.__qualname__.rpartition(".")[0]
    return [c for c in getattr(cls, "__mro__", ()) if c.__qualname__ == within and c.__module__ == fn.__module__]


def _file_of(module: object, default: str) -> str:
    return getattr(module, "__file__", None) or default


def _declared(names: dict[str, Any], file: str, name: str, around: list[str] | None = None) -> object:
    """Return what a name is by the source of a module: imported for type checkers, or an alias within a function.

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


def _declared_or_there(names: dict[str, Any], file: str, around: list[str] | None, name: str) -> object:
    return names[name] if name in names else _declared(names, file, name, around)


def _imported(wanted: tuple[str, str | None, int], package: str) -> Any:
    """Return what an import gives. Nothing is imported for it: that might do anything.

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
    """Return what is imported, and which aliases are defined, in a module or in a function in it.

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
    """Yield the statements of a scope, those under `if`, `try` and `with` among them."""
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


class UnknownName(Exception):
    """An annotation that can't be evaluated, and why."""
