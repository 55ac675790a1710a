"""Losses and metrics are imported one by one, when they are first looked at."""

import pytest

import treegy as tg
from helpers import run_script
from treegy._lazy import lazily

SCRIPT = """
import sys
import treegy as tg
assert "treegy.losses" not in sys.modules and "treegy.metrics" not in sys.modules
tg.losses.Huber
from treegy.metrics import NDCG
loaded = [name for name in sys.modules if name.startswith(("treegy.losses._", "treegy.metrics._"))]
assert "treegy.losses._huber" in loaded and "treegy.losses._ctc" not in loaded, loaded
assert "treegy.metrics._ranking._ndcg" in loaded and "treegy.metrics._sequences._bleu" not in loaded, loaded
from treegy.losses import *
assert Huber is tg.losses.Huber and CTC is tg.losses.CTC
"""


def test_only_what_is_used_is_imported():
    done = run_script(SCRIPT)
    assert done.returncode == 0, done.stderr


def test_without_sources():
    # It is built in.
    with pytest.raises(ImportError, match="`sys` finds its names in its source, which isn't there"):
        lazily("sys")


@pytest.mark.parametrize("package", [tg.losses, tg.metrics], ids=["losses", "metrics"])
def test_all_names_are_there(package):
    names = dir(package)
    assert len(names) > 100 and names == sorted(set(names))
    assert all(getattr(package, name).__name__ == name for name in names)


def test_a_misspelt_name():
    with pytest.raises(AttributeError, match=r"'treegy\.losses' has no attribute 'Hubert'\. Did you mean `Huber`\?"):
        getattr(tg.losses, "Hubert")  # noqa: B009
    assert not hasattr(tg.metrics, "anything")
