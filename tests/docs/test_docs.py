"""Every Python block of the README, the docs and the docstrings runs, and prints or raises what stands below it.

A `text` block that directly follows a `python` block is what that block prints (`...` stands for anything), or, where
it begins with the name of an exception, the exception that it ends in. The blocks of a page share a namespace.
"""

import ast
import contextlib
import doctest
import importlib.util
import io
import itertools
import linecache
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

from helpers import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Loaders and loggers. Blocks of pages that begin by importing them are run where they are installed.
_NOT_EVERYWHERE = {"torch", "grain", "datasets", "tensorflow", "pandas", "tensorboardX", "wandb", "mlflow"}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_COMPARE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    line: int
    """Of its first line of code, counted from 1."""
    code: str
    shown: str | None
    """What the text says that it prints or raises."""


class Page(NamedTuple):
    name: str
    blocks: list[Block]


def blocks_in(text: str, first_line: int = 1) -> list[Block]:
    fences = list(_FENCE.finditer(text))
    found: list[Block] = []
    for fence, after in itertools.zip_longest(fences, fences[1:]):
        if fence["language"] != "python":
            continue
        shown = None
        if after is not None and after["language"] == "text" and not text[fence.end() : after.start()].strip():
            shown = textwrap.dedent(after["body"])
        line = first_line + text.count("\n", 0, fence.start("body"))
        found.append(Block(line, textwrap.dedent(fence["body"]), shown))
    return found


def docstrings(source: str) -> Iterator[tuple[str, int, str]]:
    """The docstrings of classes, functions, fields and the module itself: name, first line, text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        name = "module" if isinstance(node, ast.Module) else node.name
        for statement in node.body:
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield name, statement.lineno, statement.value.value


def _pages() -> Iterator[Page]:
    for path in PAGES:
        yield Page(str(path.relative_to(ROOT)), blocks_in(path.read_text()))
    spec = importlib.util.find_spec("treegy")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    for path in sorted(package.rglob("*.py")):
        for name, line, text in docstrings(path.read_text()):
            yield Page(f"{path.relative_to(package.parent)}:{name}", blocks_in(text, line))


# Each compiles dozens of losses and metrics.
FIELDS = (
    "rankings",
    "images",
    "sound",
    "segmentation",
    "forecasts",
    "clusters",
    "sequences",
    "survival",
    "representations",
)


def _one_of_many(page: Page) -> bool:
    """Whether it is the example of a loss or metric, of which there are hundreds that look alike, or a field's page."""
    return page.name.startswith(("treegy/losses/", "treegy/metrics/")) or Path(page.name).stem in FIELDS


@pytest.mark.once
@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=p.name, marks=[pytest.mark.slow] if _one_of_many(p) else []) for p in _pages() if p.blocks],
)
def test_blocks_run(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page_" + re.sub(r"\W", "_", page.name))
    # Classes look up their module by its name, and some errors show the source.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    # What a reader has who copies the code: JAX as it comes.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in page.blocks:
            if not lacks(block):
                run(block, page.name, module)


def lacks(block: Block) -> bool:
    """Whether a block uses a package that isn't installed."""
    names = {node.id for node in ast.walk(ast.parse(block.code)) if isinstance(node, ast.Name)}
    names |= {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return any(importlib.util.find_spec(name) is None for name in names & _NOT_EVERYWHERE)


def run(block: Block, filename: str, module: types.ModuleType) -> None:
    source = "\n" * (block.line - 1) + block.code
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    printed = io.StringIO()
    error = re.match(r"(\w+Error|Missing\w+): ", block.shown or "")
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, filename, "exec"), vars(module))
    except Exception as e:
        if error is None:
            raise
        got = f"{type(e).__name__}: {e}\n"
    else:
        assert error is None, f"{filename}:{block.line}: nothing was raised, and {error[1]} is shown"
        got = printed.getvalue()
    if block.shown is not None:
        example = doctest.Example(block.code, block.shown)
        checker = doctest.OutputChecker()
        if not checker.check_output(block.shown, got, _COMPARE):
            pytest.fail(f"{filename}:{block.line}\n{checker.output_difference(example, got, _COMPARE)}")


def test_blocks_are_found_with_what_they_print():
    printing = "Text\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n"
    indented = "\n    ```python\n    x = 1\n    ```\n\nand\n\n```text\n2\n```\n"
    assert blocks_in(printing + indented) == [Block(4, "print(1)\n", "1\n"), Block(12, "x = 1\n", None)]


def test_a_block_that_prints_something_else_fails():
    with pytest.raises(pytest.fail.Exception, match="Expected:\n    2"):
        run(Block(1, "print(1)", "2\n"), "page", types.ModuleType("page"))


def test_a_block_that_raises_something_else_fails():
    with pytest.raises(pytest.fail.Exception, match="ValueError: no"):
        run(Block(1, "raise ValueError('no')", "ValueError: yes\n"), "page", types.ModuleType("page"))
    with pytest.raises(AssertionError, match="nothing was raised"):
        run(Block(1, "x = 1", "ValueError: yes\n"), "page", types.ModuleType("page"))


def test_ci_runs_the_commands_of_the_readme():
    commands = re.findall(r"^```sh\n(.+?)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    ci = (ROOT / ".ci" / "run").read_text()
    for command in commands:
        assert f"\n{command} || exit\n" in ci
