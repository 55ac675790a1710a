"""What only a new process shows: compilation, imports, peak memory. Run as a script, it is that process."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent

_IMPORTS = {
    "treegy": "import treegy",
    "hand-written": "import equinox, optax",
    "Keras": "import keras",
    "Flax NNX": "from flax import nnx",
    "PyTorch": "import torch",
}


# What the main process calls


def first_epochs(plan: Any, names: list[str], rounds: int, quick: bool) -> Any:
    """The first epoch of each contender: what a user waits for between building a model and its second epoch."""
    from bounds import BOUNDS
    from timing import Result, check, rotated

    work = plan.work(quick)
    result = Result(plan.name, plan.title, bounds=BOUNDS[plan.name])
    with tempfile.TemporaryDirectory() as folder:
        work.save(Path(folder))
        for i in range(rounds):
            for name in rotated(names, i):
                found = _call("first-epoch", folder, name)
                result.values.setdefault(name, []).append(found["seconds"])
                result.computed[name] = {"loss of the epoch": found["loss"]}
    check(work, result.computed, {})
    return result


def imports(names: list[str], rounds: int) -> Any:
    """How long imports take, of files in the system's cache that are compiled, as those of installed packages are."""
    from bounds import BOUNDS
    from timing import Result, rotated

    result = Result("import", "import", bounds=BOUNDS["import"])
    names = [name for name in _IMPORTS if name in names]
    with tempfile.TemporaryDirectory() as folder:
        for i in range(-1, rounds):
            for name in rotated(names, i):
                code = f"import time; t = time.perf_counter(); {_IMPORTS[name]}; print(time.perf_counter() - t)"
                # The first round writes what Python compiles, whatever the environment says.
                seconds = float(
                    _run([sys.executable, "-c", code], PYTHONPYCACHEPREFIX=folder, PYTHONDONTWRITEBYTECODE="")
                )
                if i >= 0:
                    result.values.setdefault(name, []).append(seconds)
    return result


def memory(plan: Any, rounds: int, quick: bool) -> Any:
    """By how much `fit`, and the hand-written loop that donates, raise the peak of a process that has its data."""
    from bounds import RING_BUFFERS, RING_BYTES, RING_STEPS
    from timing import Result, rotated

    work = plan.work(quick)
    result = Result(plan.name, plan.title, unit="MB")
    with tempfile.TemporaryDirectory() as folder:
        work.save(Path(folder))
        for i in range(rounds):
            for name in rotated(["treegy", "flat"], i):
                result.values.setdefault(name, []).append(_call("memory", folder, name)["megabytes"])
    parameters = sum(layer.weight.nbytes + layer.bias.nbytes for layer in work.layers)
    batch = (work.x[0].nbytes + work.y[0].nbytes) * work.batch_size
    allowed = (parameters + RING_BUFFERS * min(RING_BYTES, RING_STEPS * batch, work.steps * batch)) / 1e6
    result.bounds = {"flat": 1 + allowed / result.median("flat")}
    return result


def _call(*arguments: str) -> dict[str, float]:
    return json.loads(_run([sys.executable, str(_HERE / "fresh.py"), *arguments]).splitlines()[-1])


def _run(command: list[str], **environment: str) -> str:
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_ENABLE_COMPILATION_CACHE": "false", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout.strip()


# What the new process does


def _first_epoch(folder: str, name: str) -> dict[str, float]:
    from contenders import contender
    from workloads import Work

    made = contender(name)(Work.load(Path(folder)))
    start = time.perf_counter()
    loss = made.fit()
    return {"seconds": time.perf_counter() - start, "loss": loss}


def _memory(folder: str, name: str) -> dict[str, float]:
    from contenders import contender
    from workloads import Work

    made = contender(name)(Work.load(Path(folder)))
    before = resident()
    made.fit()
    made.fit()
    return {"megabytes": (_peak() - before) / 1e6}


def resident() -> float:
    """The bytes that the process has now; where that can't be known, the most that it had."""
    return _status("VmRSS") or _peak()


def _peak() -> float:
    """The most bytes that the process had.

    On Linux `ru_maxrss` would begin at the peak of the process that started this one, so it is asked elsewhere only.
    """
    found = _status("VmHWM")
    if found is not None:
        return found
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    print(json.dumps({"first-epoch": _first_epoch, "memory": _memory}[task](*rest)))
