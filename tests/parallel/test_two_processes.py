"""Two processes of two devices each give what one process with one device gives: `scripts/processes.py`, run by all."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np
import pytest

from helpers import TESTS

_SCRIPT = TESTS / "scripts" / "processes.py"
_SECONDS = 240


@contextlib.contextmanager
def started(out: Path, processes: int, *checks: str) -> Generator[list[subprocess.Popen[str]]]:
    """The script in so many processes, none of which outlives this."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "true"}
    running: list[subprocess.Popen[str]] = []
    try:
        for rank in range(processes):
            command = [sys.executable, str(_SCRIPT), str(out), str(port), str(rank), str(processes), *checks]
            running.append(
                subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            )
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def ended(running: list[subprocess.Popen[str]], *codes: int) -> list[str]:
    """What the processes print, when they have ended as expected."""
    printed = [process.communicate(timeout=_SECONDS) for process in running]
    for process, code, (out, errors) in zip(running, codes or [0] * len(running), printed, strict=True):
        assert process.returncode == code, f"{process.args}\n{out[-2000:]}\n{errors[-4000:]}"
    return [out for out, _ in printed]


def results(out: Path, name: str, processes: int = 2, rank: int = 0) -> Mapping[str, np.ndarray]:
    return np.load(out / f"{name}-{processes}-{rank}.npz")


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected) and len(expected) > 0
    for name, value in expected.items():
        # Hits are counted in single precision, whatever the predictions are.
        within = 1e-6 if "accuracy" in name or value.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found[name], value, rtol=within, atol=within, err_msg=name)


def compare(out: Path, *checks: str) -> list[str]:
    """Run checks in two processes and in one, and compare what they find. Returns what the two print."""
    with started(out, 2, *checks) as two, started(out, 1, *checks) as one:
        printed = ended(two)
        ended(one)
    for check in checks:
        for rank in (0, 1):
            assert_same(results(out, check.replace(":", "-"), 2, rank), results(out, check.replace(":", "-"), 1))
    return printed


@pytest.mark.once
def test_the_same_as_in_one_process(tmp_path: Path):
    printed = compare(tmp_path, "arrays:fsdp", "made:data", "saving:fsdp")
    # Progress and logs are the first one's.
    assert "epoch 1/2" in printed[0] and "epoch" not in printed[1].replace("Gloo", "")
    assert (tmp_path / "log-2-0.csv").read_text().startswith("epoch,") and not (tmp_path / "log-2-1.csv").exists()
    assert (tmp_path / "log-2-0.csv").read_text().count("\n") == 3


@pytest.mark.slow
def test_the_other_strategies(tmp_path: Path):
    compare(tmp_path, "arrays:data", "arrays:tensors", "batches:data", "batches:fsdp", "made:fsdp", "scanned:fsdp")


@pytest.mark.slow
@pytest.mark.once
def test_what_processes_are_told(tmp_path: Path):
    with started(tmp_path, 2, "mistakes:all") as two:
        ended(two)
    first, last = (json.loads((tmp_path / f"mistakes-{rank}.json").read_text()) for rank in (0, 1))
    told: dict[str, str | tuple[str, str]] = {
        "no strategy": "ProcessError: there are 2 processes, and the model has no strategy: each would train alone",
        "alone": "nothing",
        "lengths": "`x` is f64[31,6] in process 1, and f64[30,6] in process 0. Arrays are the data of all processes",
        "numbers": "`x` holds other numbers in process 1 than in process 0",
        "epochs": "`epochs` is 2 in process 1, and 1 in process 0",
        "keys": "`.module.weight` holds other numbers in process 1 than in process 0. Build the model from the same",
        "other calls": "the processes do different things: process 0 is at `save` into",
        "spread": "DataError: `x` is f64[50,6], which is spread over several processes",
        "spread batches": "`x: batch 0: x` is f64[50,6], which is spread over several processes",
        "shared examples": "its batches are split over 'data', along which some processes have the same place",
        "other shapes": "an example of `x` is f64[5], and there `x` is f64[6]",
        "no batches": ("the first batch: process 1 failed: DataError", "DataError: `x` is an instance of Numbered"),
        "a failing iterable": ("the data: process 1 failed: OSError: the disk is gone", "OSError: the disk is gone"),
        "a failing callback": ("process 1 failed: ZeroDivisionError: my callback is wrong", "ZeroDivisionError: my"),
        "a directory": (
            "CheckpointError: '/dev/null/place' can't",
            "`save`: process 0 failed: CheckpointError: '/dev/",
        ),
        "stop": "enough",
        "Ctrl-C": "interrupted",
    }
    for name, texts in told.items():
        for text, found in zip((texts, texts) if isinstance(texts, str) else texts, (first, last), strict=True):
            assert text in found[name][0], (name, found[name])
    for name in ("known lengths", "unknown lengths"):
        for found in (first, last):
            assert any("process 0 3, process 1 6" in warning for warning in found[name][1:]), found[name]


@pytest.mark.once
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills otherwise")
def test_a_process_that_is_killed(tmp_path: Path):
    with started(tmp_path, 2, "killed:last") as two, started(tmp_path, 1, "resumed:nothing") as unbroken:
        ended(unbroken)
        ended(two, 3, -signal.SIGKILL)
    told = (tmp_path / "told-0.txt").read_text()
    assert told.startswith(
        "another process of this run is gone: it has ended, was killed, or its machine doesn't answer"
    )
    assert "in '" + str(tmp_path / "backup") + "' is whole: the same script resumes from it." in told
    shutil.copytree(tmp_path / "backup", tmp_path / "backup-for-one")
    with started(tmp_path, 2, "resumed:backup") as two, started(tmp_path, 1, "resumed:backup-for-one") as one:
        ended(two)
        ended(one)
    unbroken = results(tmp_path, "resumed-nothing", 1)
    for found in (results(tmp_path, "resumed-backup", 2, rank) for rank in (0, 1)):
        assert_same(found, unbroken)
    assert_same(results(tmp_path, "resumed-backup-for-one", 1), unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["middle", "end"])
def test_what_gives_batches_resumes(where: str, tmp_path: Path):
    with started(tmp_path, 2, f"interrupted:{where}") as two, started(tmp_path, 1, "continued:nothing") as one:
        ended(two)
        ended(one)
    shutil.copytree(tmp_path / where, tmp_path / "alone")
    with started(tmp_path, 2, f"continued:{where}") as two, started(tmp_path, 1, "continued:alone") as one:
        ended(two)
        ended(one)
    unbroken = results(tmp_path, "continued-nothing", 1)
    assert_same(results(tmp_path, f"continued-{where}", 2, 1), unbroken)
    if where == "end":
        assert_same(results(tmp_path, "continued-alone", 1), unbroken)
    else:
        told = (tmp_path / "refused-alone.txt").read_text()
        assert "in the middle of the data, of which 2 processes had parts, and now there is 1 process" in told
