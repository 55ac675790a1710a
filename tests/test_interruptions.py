"""A training that was interrupted, and goes on when the same script runs again, is the training that never was."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

SCRIPT = Path(__file__).parent / "scripts" / "interrupted.py"
CACHE_ALL = ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES")


class Server:
    """Runs trainings, each in a process of its own."""

    def __init__(self, cache: Path):
        # Compiled programs are kept between the processes.
        env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), **dict.fromkeys(CACHE_ALL, "0")}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, str(SCRIPT)], stdin=pipe, stdout=pipe, text=True, env=env)

    def run(
        self,
        directory: Path,
        save_freq: str,
        fail_at: str = "never",
        how: signal.Signals | None = None,
        after: float = 0.0,
    ) -> tuple[int, str]:
        """The exit code and the output of a training, which gets a signal some time after it has begun."""
        directory.mkdir(exist_ok=True)
        output = directory / "output"
        output.write_text("")
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{directory} {save_freq} {fail_at}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        if how is not None:
            until = time.monotonic() + 120
            while "training" not in output.read_text():
                assert time.monotonic() < until, output.read_text()
                time.sleep(0.005)
            time.sleep(after)
            os.kill(pid, how)
        return int(self.process.stdout.readline()), output.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Generator[Server]:
    made = Server(tmp_path_factory.mktemp("cache"))
    with made.process:
        yield made
        made.process.kill()


def figures(directory: Path, code: int, output: str) -> dict[str, Any]:
    assert code == 0, output
    return {**json.loads(output.splitlines()[-1]), "csv": (directory / "log.csv").read_text()}


@pytest.fixture(scope="module")
def unbroken(server, tmp_path_factory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("unbroken")
    found = figures(directory, *server.run(directory, "1000000"))
    assert len(found["history"]["val_loss"]) == 30
    return found


def interrupted(
    server: Server, directory: Path, how: signal.Signals, times: int, save_freq: str, longest: float
) -> Any:
    """What comes out of a training that is interrupted at random moments, and then left alone."""
    rng = random.Random(0)
    for _ in range(times):
        code, output = server.run(directory, save_freq, how=how, after=rng.uniform(0, longest))
        assert code == (-9 if how == signal.SIGKILL else 0), output
    return figures(directory, *server.run(directory, save_freq))


def test_killed_twenty_times(server, tmp_path, unbroken):
    assert interrupted(server, tmp_path / "run", signal.SIGKILL, 20, "5", 0.5) == unbroken


def test_interrupted_by_ctrl_c(server, tmp_path, unbroken):
    assert interrupted(server, tmp_path / "run", signal.SIGINT, 3, "epoch", 1.0) == unbroken


def test_failed_in_a_callback(server, tmp_path, unbroken):
    code, output = server.run(tmp_path / "run", "25", fail_at="313")
    assert code == 1
    assert "RuntimeError: something is wrong\nThis happened in epoch 15, after 19 of its steps." in output
    assert figures(tmp_path / "run", *server.run(tmp_path / "run", "25", fail_at="313")) == unbroken
