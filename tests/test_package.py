"""The package as it is installed."""

import configparser
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError

import treegy as tg

ROOT = Path(__file__).parents[1]
OPTIONAL = ("keras", "matplotlib", "sklearn", "IPython", "pytest", "hypothesis")


def test_importing_treegy_imports_nothing_optional():
    script = f"import sys, treegy; print(*[n for n in {OPTIONAL!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_types_are_shipped():
    assert (Path(tg.__file__).parent / "py.typed").exists()


def test_the_oldest_versions_that_are_allowed_are_those_that_can_be_tested():
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert [bound.replace(">=", "==") for bound in allowed] == tox["testenv:lowest"]["deps"].split()


def test_the_tests_run_with_the_import_hook_over_treegy():
    with pytest.raises(TypeCheckError):
        tg.inject(3)  # pyright: ignore[reportArgumentType]
