"""What is counted, and not timed: programs that are compiled, and how time and memory grow. Each in a new process."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@dataclasses.dataclass
class Count:
    """One figure, and what it may be at most."""

    name: str
    title: str
    at_most: float
    value: float = float("nan")

    @property
    def holds(self) -> bool:
        return self.value <= self.at_most


def counts(quick: bool) -> Iterator[Count]:
    """Count all of it. Quick ones do fewer steps."""
    found = _call("sweep")
    yield Count("sweep", "programs compiled by the second and third run of a sweep over rates", 0, found["fit"])
    yield Count("replaced", "… by `evaluate` and `predict` after `replace(optimizer=...)`", 0, found["replaced"])
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_ENABLE_COMPILATION_CACHE": "true"}
        cache |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        first, second = _call("cached", **cache), _call("cached", **cache)
        assert first["compiled"] > 0
    yield Count("cached", "… by a second process with JAX's persistent cache", 0, second["compiled"])
    found = _call("growth", "4000" if quick else "16000")
    yield Count("growth", "`predict` of four times as many batches (64,000): times as long", 4.4, found["ratio"])
    found = _call("memory", "2000" if quick else "100000")
    yield Count("memory-steps", "MB by which memory has grown in 100,000 single steps", 4.0, found["megabytes"])


def _call(*arguments: str, **environment: str) -> dict[str, Any]:
    env = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false", **environment}
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"counting {arguments[0]} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


# What the new process does


def _model(rate: float = 1e-3) -> Any:
    import optax
    from contenders.networks import equinox_network
    from workloads import PLANS

    import treegy as tg

    work = PLANS[0].work(quick=True)
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = tg.metrics.SparseCategoricalAccuracy()
    optimizer = tg.Optimizer(optax.adam, rate)
    return tg.Model(equinox_network(work.layers), loss=loss, metrics=accuracy, optimizer=optimizer), work


def _compiled(run: Callable[[], Any]) -> int:
    """How many programs are compiled while this runs; those that JAX finds in its cache aren't."""
    import jax

    programs, hits = [0], [0]
    compiled = lambda event, _, **__: programs.append(event == "/jax/core/compile/backend_compile_duration")  # noqa: E731
    found = lambda event, **_: hits.append(event == "/jax/compilation_cache/cache_hits")  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(compiled)
    jax.monitoring.register_event_listener(found)
    run()
    jax.monitoring.unregister_event_duration_listener(compiled)
    jax.monitoring.unregister_event_listener(found)
    return sum(programs) - sum(hits)


def _all_calls(rate: float) -> None:
    import jax

    model, work = _model(rate)
    x, y = work.x[:640], work.y[:640]
    model, _ = model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    jax.block_until_ready(model.predict(x))


def _sweep() -> dict[str, float]:
    import optax

    first = _compiled(lambda: _all_calls(1e-3))
    assert first > 0
    model, work = _model(1e-3)
    other = model.replace(optimizer=optax.sgd(0.1))
    x, y = work.x[:640], work.y[:640]

    def replaced() -> None:
        other.evaluate(x, y, verbose=0)
        other.predict(x)

    return {"fit": _compiled(lambda: [_all_calls(rate) for rate in (1e-2, 3e-4)]), "replaced": _compiled(replaced)}


def _cached() -> dict[str, float]:
    return {"compiled": _compiled(lambda: _all_calls(1e-3))}


def _growth(batches: str) -> dict[str, float]:
    import jax
    import numpy as np

    model, n = _small(), int(batches)
    x = np.random.default_rng(0).normal(size=(4 * n, 8)).astype("float32")

    def seconds(n: int) -> float:
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            jax.block_until_ready(model.predict(x[:n], batch_size=1))
            best = min(best, time.perf_counter() - start)
        return best

    seconds(n)
    return {"ratio": seconds(4 * n) / seconds(n)}


def _small() -> Any:
    import equinox as eqx
    import jax
    import optax

    import treegy as tg

    net = eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(0))
    return tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=optax.adam(1e-3))


def _memory(steps: str) -> dict[str, float]:
    import fresh
    import jax
    import numpy as np

    model, n = _small(), int(steps)
    x, y = np.ones((4, 8), "float32"), np.ones((4, 2), "float32")
    before = 0.0
    for i in range(n):
        model, _ = model.train_on_batch(x, y)
        _, _ = model.test_on_batch(x, y)
        if i == n // 10:
            jax.block_until_ready(model.parameters)
            before = fresh.resident()
    jax.block_until_ready(model.parameters)
    return {"megabytes": (fresh.resident() - before) / 1e6}


_TASKS: dict[str, Callable[..., dict[str, float]]] = {
    "sweep": _sweep,
    "cached": _cached,
    "growth": _growth,
    "memory": _memory,
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(_TASKS[sys.argv[1]](*sys.argv[2:])))
