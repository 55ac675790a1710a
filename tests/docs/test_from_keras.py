"""docs/from-keras.md lists every argument that differs from Keras's, by the signatures of the installed Keras."""

import inspect
import re
from typing import Any

import pytest

import treegy as tg
from helpers import ROOT

pytestmark = pytest.mark.once

keras = pytest.importorskip("keras")

PAGE = (ROOT / "docs" / "from-keras.md").read_text()
METHODS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
CALLBACKS = sorted(
    name
    for name, cls in vars(keras.callbacks).items()
    if inspect.isclass(cls) and hasattr(tg.callbacks, name) and name != "Callback"
)
Row = tuple[str, str]


def defaults(function: Any) -> dict[str, str]:
    parameters = list(inspect.signature(function).parameters.values())
    return {
        p.name: "required" if p.default is p.empty else f"`{p.default!r}`".replace("'", '"')
        for p in parameters
        if p.name != "self"
    }


def differences(ours: Any, theirs: Any) -> dict[str, Row]:
    """The arguments that differ: what they are in Keras, and here."""
    keras_has, treegy_has = defaults(theirs), defaults(ours)
    rows = {name: (keras_has.get(name, "-"), treegy_has.get(name, "-")) for name in {**keras_has, **treegy_has}}
    return {name: row for name, row in rows.items() if row[0] != row[1]}


def table(name: str) -> dict[str, Row]:
    """The table of that name on the page; every row gives a reason."""
    found = re.search(rf"^\| `{name}` \| Keras \| treegy \| why \|\n\|---\|---\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.M)
    rows: dict[str, Row] = {}
    for line in found[1].splitlines() if found else ():
        argument, theirs, ours, why = (cell.strip() for cell in line.strip("|").split("|"))
        assert len(why) > 5, line
        rows[argument.strip("`")] = (theirs, ours)
    return rows


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    assert table(name) == differences(getattr(tg.Model, name), getattr(keras.Model, name))


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks(name):
    ours, theirs = getattr(tg.callbacks, name), getattr(keras.callbacks, name)
    assert table(name) == differences(ours.__init__, theirs.__init__)


def test_callbacks_that_are_not_here_are_told_what_they_are():
    absent = [
        name for name, cls in vars(keras.callbacks).items() if inspect.isclass(cls) and not hasattr(tg.callbacks, name)
    ]
    assert absent and all(f"`{name}` is" in PAGE for name in absent)


def test_hooks_are_those_of_keras():
    """But for those that Keras itself has for old code."""
    hooks = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]
    assert [name for name in hooks if not hasattr(tg.callbacks.Callback, name)] == ["on_batch_begin", "on_batch_end"]
