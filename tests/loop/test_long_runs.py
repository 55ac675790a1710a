"""A long run takes no more memory than a short one, and no more threads."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import optax
import pytest

import treegy as tg
from helpers import numbers

pytestmark = pytest.mark.once

STEPS, EPOCHS = 1000, 100
X = numbers(STEPS, 2)
SGD = optax.sgd(1e-3)


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watching(tg.callbacks.Callback):
    def __init__(self):
        self.memory: list[int] = []
        self.threads: list[int] = []

    def on_epoch_end(self, epoch, logs):
        self.memory.append(resident())
        self.threads.append(threading.active_count())


class Batches:
    def __iter__(self) -> Iterator[Any]:
        for i in range(STEPS):
            yield X[i : i + 1], X[i : i + 1, :1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells how much memory a process has")
@pytest.mark.parametrize("source", ["arrays", pytest.param("batches", marks=pytest.mark.slow)])
def test_a_hundred_thousand_steps(source):
    model = tg.Model(eqx.nn.Linear(2, 1, key=jax.random.key(0)), loss=tg.losses.MeanSquaredError(), optimizer=SGD)
    watching = Watching()
    data: dict[str, Any] = {"x": X, "y": X[:, :1], "batch_size": 1} if source == "arrays" else {"x": Batches()}
    model, history = model.fit(**data, epochs=EPOCHS, verbose=0, callbacks=[watching])
    assert int(model.states.step) == STEPS * EPOCHS
    assert max(watching.threads) == watching.threads[0]
    # From when all is warm to the end; a step that kept 100 bytes would take 9 MB.
    assert watching.memory[-1] - watching.memory[EPOCHS // 10] < 4_000_000
    assert history["loss"][-1] < history["loss"][0]
