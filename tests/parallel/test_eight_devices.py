"""What is the same on eight devices as on one, in a process that has eight: `on_eight_devices.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import TESTS

_FILE = Path(__file__).with_name("on_eight_devices.py")


def on_eight(*arguments: str) -> None:
    """Run the file's tests in a process of its own.

    **Raises:** `AssertionError` if one fails, with what pytest prints of it.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "true"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(_FILE),
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(TESTS.parent),
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=1200, env=env, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_what_devices_exchange():
    on_eight("-k", "exchange or sums")


@pytest.mark.once
def test_strategies():
    on_eight("-m", "not slow", "-k", "not exchange and not sums")


# In two processes: on Python 3.13, one that has compiled all of these programs crashes (signal 11).
@pytest.mark.slow
@pytest.mark.parametrize("which", ["parts", "not parts"])
def test_all_strategies(which: str):
    on_eight("-m", "slow", "-k", which)
