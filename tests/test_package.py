"""The package as it is installed."""

import subprocess
import sys
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError

import treegy as tg

OPTIONAL = ("keras", "matplotlib", "sklearn", "IPython")


def test_importing_treegy_imports_nothing_optional():
    script = f"import sys, treegy; print(*[n for n in {OPTIONAL!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_types_are_shipped():
    assert (Path(tg.__file__).parent / "py.typed").exists()


def test_the_tests_run_with_the_import_hook_over_treegy():
    with pytest.raises(TypeCheckError):
        tg.inject(3)  # pyright: ignore[reportArgumentType]
