"""Packages of many names, each of which is imported when it is first looked at."""

import ast
import difflib
import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    Its names are those that its `__init__.py` imports under `if TYPE_CHECKING:`, so that type checkers and readers see
    them where they always are, and there is one list of them.
    """
    module = sys.modules[package]
    spec = module.__spec__
    source = None if spec is None else getattr(spec.loader, "get_source", lambda name: None)(package)
    if source is None:
        raise ImportError(f"`{package}` finds its names in its source, which isn't there.")
    places = _imported(source)

    def get(name: str) -> Any:
        if name not in places:
            near = difflib.get_close_matches(name, places, n=1)
            mend = f" Did you mean `{near[0]}`?" if near else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}.{mend}", name=name, obj=module)
        # Found at once the next time.
        value = module.__dict__[name] = getattr(importlib.import_module(places[name], package), name)
        return value

    return get, lambda: sorted(places)


def _imported(source: str) -> dict[str, str]:
    """Return where each name comes from that is imported under `if TYPE_CHECKING:`."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for each in node.body:
                if isinstance(each, ast.ImportFrom):
                    where = "." * each.level + (each.module or "")
                    found |= {alias.asname or alias.name: where for alias in each.names}
    return found
