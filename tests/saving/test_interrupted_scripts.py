"""A script is interrupted and runs again: its training run resumes, and ends as the run that was never interrupted."""

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

from helpers import TESTS
from treegy._saving._read_checkpoints import steps_in

pytestmark = pytest.mark.once

SCRIPT = TESTS / "scripts" / "interrupted.py"
CACHE_ALL = ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES")


class Server:
    """Runs training runs, each in a process of its own."""

    def __init__(self, cache: Path):
        # Compiled programs are kept between the processes.
        env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), **dict.fromkeys(CACHE_ALL, "0")}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, str(SCRIPT)], stdin=pipe, stdout=pipe, text=True, env=env)

    def run(
        self,
        directory: Path,
        save_freq: str,
        *,
        fail_at: str = "never",
        number: int = 0,
        steps: int | str = "never",
        seconds: float | None = None,
    ) -> tuple[int, str]:
        """The exit code and the output of a training run.

        **Arguments:**

        - `number`: of a signal that it sends itself after so many `steps`.
        - `seconds`: when it gets the signal from outside, if not before; counted from when training begins.
        """
        directory.mkdir(exist_ok=True)
        output = directory / "output"
        output.write_text("")
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{directory} {save_freq} {fail_at} {int(number)} {steps}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        if seconds is not None:
            until = time.monotonic() + 120
            while "training" not in output.read_text():
                assert time.monotonic() < until, output.read_text()
                time.sleep(0.005)
            time.sleep(seconds)
            os.kill(pid, number)
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


EPOCH, STEPS = 21, 630


def newest(directory: Path) -> int:
    return max(steps_in(directory / "backup"), default=0)


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_many_times(server, tmp_path, unbroken, times):
    """Half of them after so many steps, half at a random moment from outside, in which it may be beginning still."""
    rng = random.Random(0)
    directory, reached = tmp_path / "run", []
    for i in range(times):
        # Whatever comes first: no machine is so fast that it trains to the end.
        steps, seconds = (rng.randint(1, 50), None) if i % 2 else (50, rng.uniform(0, 0.3))
        code, output = server.run(directory, "5", number=signal.SIGKILL, steps=steps, seconds=seconds)
        assert code == -9, output
        reached.append(newest(directory))
    # Each goes on from where the one before it was, through several epochs and in their midst.
    assert reached == sorted(reached)
    assert STEPS > reached[-1] >= times * EPOCH // 6, reached
    places = min(times // 3, 4)
    assert len({step // EPOCH for step in reached}) >= places and len({step % EPOCH for step in reached}) >= places
    assert figures(directory, *server.run(directory, "5")) == unbroken


def test_interrupted_by_ctrl_c(server, tmp_path, unbroken):
    rng = random.Random(0)
    directory, reached = tmp_path / "run", []
    for steps, seconds in ((rng.randint(1, 100), None), ("never", rng.uniform(0, 0.1)), (rng.randint(1, 100), None)):
        code, output = server.run(directory, "epoch", number=signal.SIGINT, steps=steps, seconds=seconds)
        assert code == 0, output
        reached.append(newest(directory))
    assert reached == sorted(set(reached)) and reached[-1] < STEPS, reached
    assert figures(directory, *server.run(directory, "epoch")) == unbroken


def test_failed_in_a_callback(server, tmp_path, unbroken):
    code, output = server.run(tmp_path / "run", "25", fail_at="313")
    assert code == 1
    assert "RuntimeError: something is wrong\nThis happened in epoch 15, after 19 of its steps." in output
    assert figures(tmp_path / "run", *server.run(tmp_path / "run", "25", fail_at="313")) == unbroken
