"""The house: files import only from rooms below their own, none import each other in a circle, and maps are whole."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import treegy as tg
from helpers import ROOT, TESTS

PACKAGE = Path(tg.__file__).parent

# From the ground floor up, as in docs/architecture.md. A room stands on those before it, and on nothing else.
ROOMS = [
    "",
    "_injection",
    "_sharding",
    "_data",
    "_terms",
    "losses",
    "regularizers",
    "metrics",
    "optimizers",
    "_steps",
    "_inspect",
    "_saving",
    "_export",
    "_report",
    "_loop",
    "_model",
    "parallel",
    "debug",
    "plot",
    "callbacks",
    "testing",
]

FILES = sorted(PACKAGE.rglob("*.py"))
_MOST_LINES = 300


def name_of(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def room_of(file: Path) -> str:
    return "" if file.parent == PACKAGE else file.relative_to(PACKAGE).parts[0]


def imports(file: Path, everywhere: bool = True) -> Iterator[tuple[Path, int]]:
    """The files of the package that a file imports, and in which line."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = file.parents[node.level - 1].joinpath(*(node.module or "").split(".") if node.module else ())
        for alias in node.names:
            for found in (base / f"{alias.name}.py", base.with_suffix(".py"), base / "__init__.py"):
                if found.exists():
                    yield found, node.lineno
                    break


def test_every_room_has_its_place():
    rooms = {room_of(file) for file in FILES}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_go_down(file):
    if file == PACKAGE / "__init__.py":
        return  # the names of all rooms
    here = ROOMS.index(room_of(file))
    up = [
        f"{name_of(file)}:{line} imports {name_of(other)}, and `{room_of(other)}` stands above `{room_of(file)}`"
        for other, line in imports(file)
        if other != PACKAGE / "__init__.py" and ROOMS.index(room_of(other)) > here
    ]
    assert not up, "\n".join(up)


def test_no_files_import_each_other_in_a_circle():
    edges = {file: {other for other, _ in imports(file) if other.name != "__init__.py"} for file in FILES}
    done, path = set[Path](), list[Path]()

    def visit(file: Path) -> None:
        if file in path:
            pytest.fail(" -> ".join(name_of(f) for f in [*path[path.index(file) :], file]))
        if file not in done:
            path.append(file)
            for other in sorted(edges[file]):
                visit(other)
            done.add(path.pop())

    for file in FILES:
        visit(file)


@pytest.mark.parametrize("file", [f for f in FILES if f.name == "__init__.py"], ids=name_of)
def test_a_room_says_what_lives_there(file):
    text = ast.get_docstring(ast.parse(file.read_text()))
    assert text is not None and len(text) > 40


@pytest.mark.parametrize("room", [room for room in ROOMS if room])
def test_the_maps_name_every_room(room):
    for page in ("CONTRIBUTING.md", "docs/architecture.md"):
        assert f"`{room}" in (ROOT / page).read_text(), f"{page} doesn't name `{room}`"


def test_the_maps_name_no_file_that_is_not_there():
    for page in ("CONTRIBUTING.md", "docs/architecture.md"):
        named = set(re.findall(r"`((?:\w+/)*_\w+\.py)`", (ROOT / page).read_text()))
        gone = [name for name in named if not any(name_of(file).endswith(name) for file in FILES)]
        assert not gone, f"{page} names {gone}"


def test_the_map_names_every_folder_of_tests():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for folder in TESTS.iterdir():
        if folder.is_dir() and any(folder.glob("*.py")):
            assert f"`{folder.name}`" in text, f"CONTRIBUTING.md doesn't name `tests/{folder.name}`"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_long_file_says_why(file):
    text = file.read_text()
    if len(text.splitlines()) > _MOST_LINES:
        assert "Long, since" in (ast.get_docstring(ast.parse(text)) or ""), f"{name_of(file)} has more than 300 lines"
