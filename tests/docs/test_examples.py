"""Every example runs, writes the picture that it says, and is listed."""

import os
import re
import subprocess
import sys

import pytest

from helpers import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example, tmp_path):
    if sys.version_info < (3, 12) and "\nfrom equimo" in example.read_text():
        pytest.skip("equimo is there for Python 3.12 and newer")
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    wanted = set(re.findall(r'(?:savefig|report)\("(.+?)"', example.read_text()))
    assert wanted == {path.name for path in tmp_path.iterdir() if path.is_file()}


def test_all_are_listed():
    listed = re.findall(r"^\| `(\w+\.py)` \|", (ROOT / "docs/examples.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [path.name for path in EXAMPLES]
