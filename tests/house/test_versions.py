"""The version is the same wherever it stands."""

import re
import tomllib

import treegy as tg
from helpers import ROOT


def test_the_version_is_the_same_everywhere():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == tg.__version__
    (cited,) = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited == tg.__version__
