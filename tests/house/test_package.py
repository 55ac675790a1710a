"""The package as it is installed."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError

import treegy as tg
from helpers import ROOT, mostly_slow

OPTIONAL = ("keras", "matplotlib", "sklearn", "IPython", "pytest", "hypothesis")


def test_importing_treegy_imports_nothing_optional():
    script = f"import sys, treegy; print(*[n for n in {OPTIONAL!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_the_package_lists_is_public():
    listed = dir(tg)
    assert {"Model", "Loss", "metrics", "losses", "callbacks", "__version__", "inject"} <= {*listed}
    for name in listed:
        thing = getattr(tg, name)
        if name != "__version__":
            assert not name.startswith("_")
            assert getattr(thing, "__module__", None) or thing.__name__.startswith("treegy")
    for package in ("callbacks", "debug", "losses", "metrics", "regularizers", "testing"):
        assert package in listed and getattr(tg, package).__name__ == f"treegy.{package}"


def test_the_version_is_that_of_the_project():
    assert tg.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {tg.__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name, near", [("Modle", "Model"), ("metric", "metrics"), ("zzz", None)])
def test_a_misspelt_name(name: str, near: str | None):
    mend = f"Did you mean `{near}`" if near else ""
    with pytest.raises(AttributeError, match=f"module 'treegy' has no attribute '{name}'.*{mend}"):
        getattr(tg, name)


MISSPELT = """import treegy as tg
from treegy import Modle
tg.Modle
tg.metrix.Accuracy
tg.metrics.Acuracy
tg.Model, tg.metrics.AUC, tg.debug.doubts, tg.__version__, tg.losses.MeanSquaredError, tg.At
"""
CHECKERS = {
    "pyright": ["--outputjson", "--pythonpath", sys.executable],
    "mypy": ["--python-executable", sys.executable],
    "ty": ["check", "--python", sys.executable, "--output-format", "concise"],
    "pyrefly": [
        "check",
        "--preset",
        "default",
        "--output-format",
        "min-text",
        "--python-interpreter-path",
        sys.executable,
    ],
}


@pytest.mark.once
@pytest.mark.parametrize("checker", mostly_slow(list(CHECKERS), every=len(CHECKERS)))
def test_type_checkers_see_misspelt_names(checker: str, tmp_path: Path):
    program = shutil.which(checker, path=Path(sys.executable).parent) or shutil.which(checker)
    if program is None:
        pytest.skip(f"{checker} isn't installed")
    (tmp_path / "script.py").write_text(MISSPELT)
    path = str(Path(tg.__file__).parents[1])
    done = subprocess.run(
        [program, *CHECKERS[checker], "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        # mypy finds what is installed by itself, and refuses to be told.
        env={**os.environ, "PYTHONPATH": path, "MYPYPATH": "" if path.endswith("site-packages") else path},
        check=False,
    )
    if checker == "pyright":
        found = json.loads(done.stdout[done.stdout.index("{") :])["generalDiagnostics"]
        wrong = {d["range"]["start"]["line"] + 1 for d in found if d["severity"] == "error"}
    else:
        wrong = {int(line) for line in re.findall(r"script\.py:(\d+):", done.stdout)}
    assert wrong == {2, 3, 4, 5}, done.stdout + done.stderr


def test_types_are_shipped():
    assert (Path(tg.__file__).parent / "py.typed").exists()


def test_the_oldest_versions_that_are_allowed_are_those_that_can_be_tested():
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert [bound.replace(">=", "==") for bound in allowed] == tox["testenv:lowest"]["deps"].split()


def test_the_tests_run_with_the_import_hook_over_treegy_where_it_is_asked_for(request: pytest.FixtureRequest):
    hooked = request.config.getoption("--jaxtyping-packages") is not None
    with pytest.raises(TypeCheckError if hooked else tg.InjectionError):
        tg.inject(3)  # pyright: ignore[reportArgumentType]
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "--jaxtyping-packages=treegy,beartype.beartype" in tox["testenv:hook"]["commands"]
