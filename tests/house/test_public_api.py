"""The public names and their parameters, which only grow: `public_api.txt` lists them. Add what is new to it."""

import inspect
from collections.abc import Iterator
from typing import Any

import treegy as tg
from helpers import TESTS

LISTED = (TESTS / "public_api.txt").read_text().splitlines()


def parameters_of(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters) - {"self"}
    except (TypeError, ValueError):
        return set()


def public() -> Iterator[tuple[str, set[str]]]:
    """Each public name with the names of its parameters: of modules, classes, functions and methods."""
    for name in dir(tg):
        if name.startswith("_"):
            continue
        thing = getattr(tg, name)
        members = (
            {name: thing} if not inspect.ismodule(thing) else {f"{name}.{n}": getattr(thing, n) for n in dir(thing)}
        )
        for path, member in members.items():
            if path.rpartition(".")[2].startswith("_") or inspect.ismodule(member):
                continue
            yield path, parameters_of(member) if callable(member) else set()
            if inspect.isclass(member):
                for method in dir(member):
                    if not method.startswith("_") and callable(getattr(member, method, None)):
                        yield f"{path}.{method}", parameters_of(getattr(member, method))


def as_line(name: str, parameters: set[str]) -> str:
    return f"{name}({', '.join(sorted(parameters))})"


NOW = dict(public())


def test_what_is_public_stays():
    gone: list[str] = []
    for line in LISTED:
        name, _, parameters = line.removesuffix(")").partition("(")
        if name not in NOW:
            gone.append(name)
        elif missing := {parameter for parameter in parameters.split(", ") if parameter} - NOW[name]:
            gone.append(f"{name}: {', '.join(sorted(missing))}")
    assert not gone, "\n".join(gone)


def test_what_is_new_is_listed():
    listed = {line.partition("(")[0] for line in LISTED}
    new = [as_line(name, parameters) for name, parameters in sorted(NOW.items()) if name not in listed]
    assert not new, "add to tests/public_api.txt:\n" + "\n".join(new)
