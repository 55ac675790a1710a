"""Which `raise` statements of the package the tests reach, and what is said there.

With `--every-raise` a run fails where none reaches one: so no message is shown for the first time to a user. With
`--errors-page PATH` it writes what was said to a page.
"""

import ast
import contextlib
import functools
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from recorded_raises import DIRECTORY, PACKAGE, Said, Site, keep, record, said

# What no quick test on Python 3.11 reaches: the file, and how the line begins.
UNREACHED = {
    "tests of several processes are slow": [
        ("_data/_parts_feed.py", "raise"),
        ("_data/_spread_data.py", "raise"),
        ("_loop/_alike_runs.py", "raise"),
        ("_loop/_data_state.py", "raise"),
        ("_saving/_documents.py", "raise CheckpointError(f\"`{name}` can't be written into a checkpoint: it is spread"),
        ("_saving/_leaves.py", "raise CheckpointError(f\"`{name}` can't be saved: it is spread"),
        ("_saving/_shared_checkpoints.py", "raise"),
        ("_sharding/_alike.py", "raise"),
        ("_sharding/_exchange.py", "raise"),
    ],
    "tests of each value in each file are slow": [
        ("_saving/_documents.py", "raise ValueError('an array is described otherwise"),
        ("_saving/_skeleton.py", "raise ValueError(f'the structure of {name}')"),
        ("_saving/_stored.py", "raise ValueError(f'array {expected.name} is not there as a whole')"),
    ],
    "the disk is full, and nothing can be written about it": [
        ("_saving/_checkpoints.py", "raise error"),
        ("callbacks/_csv_logger.py", "raise OSError(errno.ENOSPC"),
    ],
    "Python has this from 3.12 on": [
        ("_injection/_annotations.py", "raise UnknownName(f'of the type variable"),
        ("_injection/_scope.py", "raise UnknownName(f'of `type {alias.__name__}`"),
    ],
    "copies ask this of what is half made": [("_steps/_dtype_policy.py", "raise AttributeError(name)")],
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("messages")
    group.addoption("--every-raise", action="store_true", help="fail where no test reaches a `raise` of the package")
    group.addoption("--errors-page", metavar="PATH", help="write to this page what was raised")


def pytest_configure(config: pytest.Config) -> None:
    if not _is_wanted(config) or DIRECTORY in os.environ:
        return
    directory = tempfile.TemporaryDirectory()
    config.add_cleanup(directory.cleanup)
    # Python imports this first, in each process that is started.
    Path(directory.name, "sitecustomize.py").write_text("import recorded_raises\n\nrecorded_raises.record()\n")
    added = [directory.name, str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ[DIRECTORY], os.environ["PYTHONPATH"] = directory.name, os.pathsep.join(added)
    record()


def pytest_sessionfinish(session: pytest.Session) -> None:
    config: Any = session.config
    if not _is_wanted(config) or hasattr(config, "workerinput"):
        return
    for file in Path(os.environ[DIRECTORY]).glob("*.jsonl"):
        for line in file.read_text().splitlines():
            # Not whole where the process was killed, or the disk was full.
            with contextlib.suppress(json.JSONDecodeError):
                site, it = json.loads(line)
                keep(Site(*site), Said(*it))
    if config.getoption("--every-raise") and _unreached() and session.exitstatus == 0:
        session.exitstatus = 1
    if page := config.getoption("--errors-page"):
        Path(page).write_text(_page())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--every-raise") and (unreached := _unreached()):
        terminalreporter.section("reached by no test")
        for line in unreached:
            terminalreporter.line(line)


def _is_wanted(config: pytest.Config) -> bool:
    return bool(config.getoption("--every-raise") or config.getoption("--errors-page"))


def raises_in(path: Path) -> list[ast.Raise]:
    """What a file raises, but for what it passes on."""
    found = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise))
    return sorted((node for node in found if node.exc is not None), key=lambda node: node.lineno)


def _root() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


@functools.cache
def _unreached() -> list[str]:
    found: list[str] = []
    for path in sorted(_root().rglob("*.py")):
        file = path.relative_to(_root()).as_posix()
        for node in raises_in(path):
            text = ast.unparse(node)
            if Site(str(path), node.lineno) not in said and not exempt(file, text):
                found.append(f"{file}:{node.lineno}: {text:.120}")
    return found


def exempt(file: str, text: str) -> bool:
    """Whether nothing is expected to reach this line."""
    return any(file == name and text.startswith(begin) for lines in UNREACHED.values() for name, begin in lines)


# The page's sections, and the directories or files that they are about; what is left comes first.
AREAS = {
    "Arguments": (),
    "Models": ("_model", "_inspect"),
    "Arguments by name, and annotations": ("_injection",),
    "Steps, losses and metrics in general": ("_steps", "_terms"),
    "Data": ("_data", "parallel/_local_part.py"),
    "Runs": ("_loop",),
    "Callbacks": ("callbacks",),
    "Optimizers and regularizers": ("optimizers", "regularizers"),
    "Losses": ("losses",),
    "Metrics": ("metrics",),
    "Several devices": ("_sharding", "parallel"),
    "Saving and resuming": ("_saving",),
    "Exporting": ("_export",),
    "Pictures and reports": ("plot", "_report", "_figures.py"),
    "Looking for mistakes": ("debug", "testing"),
}


# What is caught, and told otherwise.
INTERNAL = ("UnknownName", "DamagedCheckpoint")


def _area_of(file: str) -> str:
    fitting = [(part, area) for area, parts in AREAS.items() for part in parts if file.startswith(part)]
    return max(fitting, key=lambda each: len(each[0]))[1] if fitting else "Arguments"


def _page() -> str:
    sections: dict[str, list[str]] = {area: [] for area in AREAS}
    for site, it in sorted(said.items()):
        item = _item(it)
        section = sections[_area_of(Path(site.file).relative_to(_root()).as_posix())]
        # One word is for the code that catches it.
        if " " in it.message and it.error not in INTERNAL and item not in section:
            section.append(item)
    listed = [f"## {area}\n\n" + "\n".join(items) for area, items in sections.items() if items]
    return "\n\n".join([HEAD, *listed]) + "\n"


def _item(it: Said) -> str:
    text = f"{it.error}: {it.message}"
    if "\n" not in text:
        quotes = "``" if "`" in text else "`"
        return f"- {quotes} {text} {quotes}" if quotes == "``" else f"- `{text}`"
    return "\n".join(["\n```text", *map(str.rstrip, text.splitlines()), "```\n"])


HEAD = """# Every error

Each error that treegy raises, as one of its tests has seen it: names, shapes and numbers are those of that test.
[Messages](messages.md) tells by kind what they are about and what to do."""
