"""The reference has every public name once, and the site every page."""

import inspect
import re
import tomllib
from collections import Counter
from typing import Any

import treegy as tg
from helpers import ROOT

ENTRIES = [
    match[1]
    for page in sorted((ROOT / "docs/api").glob("*.md"))
    for match in re.finditer(r"^::: treegy\.(\S+)$", page.read_text(), re.MULTILINE)
]


def public() -> set[str]:
    """The public classes and functions by name; those that are also public at the root, by that name only."""
    top = {name: getattr(tg, name) for name in dir(tg) if not name.startswith("_")}
    modules = {name: value for name, value in top.items() if inspect.ismodule(value)}
    found = {name for name in top if name not in modules and documented(top[name])}
    for name, module in modules.items():
        for inner, value in ((each, getattr(module, each)) for each in dir(module)):
            again = any(value is other for other in top.values())
            if not inner.startswith("_") and documented(value) and not again:
                found.add(f"{name}.{inner}")
    return found


def documented(value: Any) -> bool:
    return (inspect.isclass(value) or callable(value)) and value.__module__.startswith("treegy")


def test_every_public_name_has_an_entry():
    assert sorted(public() - set(ENTRIES)) == []
    assert sorted(set(ENTRIES) - public()) == []
    assert [name for name, times in Counter(ENTRIES).items() if times > 1] == []


def test_every_page_is_in_the_navigation():
    def pages(nav: Any) -> list[str]:
        if isinstance(nav, str):
            return [nav]
        return [page for item in (nav if isinstance(nav, list) else nav.values()) for page in pages(item)]

    found = pages(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"])
    docs = ROOT / "docs"
    assert sorted(found) == sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md"))


def test_every_loss_and_metric_is_in_a_guide():
    pages = [path.read_text() for path in (ROOT / "docs").glob("*.md") if not path.name.startswith("from-")]
    named = set(re.findall(r"`(?:tg\.(?:losses|metrics)\.)?(\w+)", "".join(pages)))
    found = {
        name
        for module, base in ((tg.losses, tg.Loss), (tg.metrics, tg.Metric))
        for name, value in ((each, getattr(module, each)) for each in dir(module))
        if inspect.isclass(value) and issubclass(value, base)
    }
    assert len(found) > 200 and found - named == set()
