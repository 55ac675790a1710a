"""Records what a process raises in the package: where, and the message.

Each process writes it to a file, those too that tests start. Nothing of pytest is imported here.
"""

import ast
import builtins
import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

PACKAGE = "treegy"
# Code that is compiled here imports nothing: it finds this among the built-in functions.
RECORD = "_treegy_raises"
# The directory in which processes write what they raise: those of `pytest -n`, and those that tests start.
DIRECTORY = "TREEGY_RAISES"


class Site(NamedTuple):
    """Where something is raised."""

    file: str
    line: int


class Said(NamedTuple):
    """What was raised there."""

    error: str
    message: str


# The shortest at each: the same in whatever order tests run.
said: dict[Site, Said] = {}


def record() -> None:
    """Write what is raised from now on, of a package that isn't imported yet."""
    assert PACKAGE not in sys.modules
    setattr(builtins, RECORD, _record)
    sys.meta_path.insert(0, _Finder())


def _record(file: str, line: int, error: Any) -> Any:
    # A class that is raised says nothing; `str` of a `KeyError` is the `repr` of what it says.
    raised = error() if isinstance(error, type) else error
    message = raised.args[0] if isinstance(raised, KeyError) and raised.args else raised
    site, it = Site(file, line), Said(type(raised).__name__, _shown(str(message)))
    # A test may have filled the disk.
    if keep(site, it):
        with contextlib.suppress(OSError), Path(os.environ[DIRECTORY], f"{os.getpid()}.jsonl").open("a") as out:
            out.write(json.dumps([site, it]) + "\n")
    return error


def keep(site: Site, it: Said) -> bool:
    """Keep what was said there, and return whether it is the shortest so far."""
    if site in said and _order(said[site]) <= _order(it):
        return False
    said[site] = it
    return True


def _order(it: Said) -> tuple[bool, int, Said]:
    # What Python and its tools ask of any object shows least of what a user does.
    return "__" in it.message or "_mock" in it.message, len(it.message), it


def _shown(text: str) -> str:
    """A message without what differs from run to run: directories and addresses."""
    text = re.sub(r"(?<![\w./])/(?:[\w.+-]+/)+", ".../", text)
    return re.sub(r"0x[0-9a-f]{6,}", "0x...", text)


class _Recorded(ast.NodeTransformer):
    """`raise error` becomes `raise record(where, error)`."""

    def __init__(self, file: str):
        self._file = file

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if node.exc is not None:
            where: list[ast.expr] = [ast.Constant(self._file), ast.Constant(node.lineno), node.exc]
            call = ast.Call(ast.Name(RECORD, ast.Load()), where, [])
            ast.copy_location(call, node.exc)
            node.exc = call
        return node


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = _Recorded(path).visit(ast.parse(self.get_data(path)))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec
