"""The pages of messages show every warning, every class of errors, and every error."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import treegy as tg
from every_raise import UNREACHED, exempt, raises_in
from helpers import ROOT

pytestmark = pytest.mark.once

PACKAGE = Path(tg.__file__).parent
PAGE = (ROOT / "docs/messages.md").read_text()


def warnings_in(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The calls of `warn` in a file: where, and the fixed parts of what they say."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "warn":
            yield node.lineno, texts_in(node.args[0])


def texts_in(node: ast.AST) -> list[str]:
    """The fixed parts of a message."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


# Of files that make the words, or nearly all of them, in another line.
ELSEWHERE = {
    "_injection/_annotations.py": ["that can't be"],
    "_loop/_fit.py": ["after Ctrl-C, which loaders' processes get too, this failed", "the data ended in epoch"],
    "callbacks/_backup_and_restore.py": ["Resuming from the backup before it"],
    "callbacks/_failures.py": ["` can't", "The last checkpoint is missing"],
}

CALLS = [
    (str(file.relative_to(PACKAGE)), line, texts)
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.name != "_warn.py"
    for line, texts in warnings_in(file)
]


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_all_calls_are_found():
    assert len(CALLS) > 20


@pytest.mark.parametrize(("name", "line", "texts"), CALLS, ids=[f"{name}:{line}" for name, line, _ in CALLS])
def test_every_warning_is_on_the_page(name: str, line: int, texts: list[str]):
    rest = ELSEWHERE.get(name, [])
    assert all(words in plain((PACKAGE / name).read_text()) and words in plain(PAGE) for words in rest), rest
    # Some words of it in a row say which one is meant.
    rows = [row for text in texts for row in rows_of(plain(text).split())]
    assert any(row in plain(PAGE) for row in rows) or (rest and not rows), (
        f"{name}:{line}: {texts} isn't in docs/messages.md"
    )


def rows_of(words: list[str], n: int = 4) -> list[str]:
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def test_every_class_of_errors_is_on_the_page():
    for name in dir(tg):
        thing = getattr(tg, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert re.search(rf"^##.*\b{name}\b", PAGE, re.MULTILINE), name


def test_what_is_not_expected_to_be_reached_is_there():
    for file, begin in [line for lines in UNREACHED.values() for line in lines]:
        assert any(ast.unparse(node).startswith(begin) for node in raises_in(PACKAGE / file)), (file, begin)


def test_every_error_is_on_its_page():
    page = plain((ROOT / "docs/every-error.md").read_text())
    missing: list[str] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in raises_in(file):
            rows = [row for text in texts_in(node) for row in rows_of(plain(text).split())]
            told = any(row in page for row in rows) or exempt(file.relative_to(PACKAGE).as_posix(), ast.unparse(node))
            if rows and not told:
                missing.append(f"{file.relative_to(PACKAGE)}:{node.lineno}: {rows[0]} ...")
    assert not missing, "\n".join([*missing, "`tox -e messages` writes the page."])
