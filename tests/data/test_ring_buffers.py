"""Buffers that chunks are read from in place: they are never filled again too early."""

import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from treegy._data._ring_buffer import Ring, aligned

STEPS, BATCH, WIDTH = 240, 4, 512
X = np.random.default_rng(0).integers(0, 1000, (STEPS * BATCH, WIDTH)).astype(np.int32)


class Summing(tg.Model):
    """Adds up what it sees, slowly: the host is always ahead."""

    def states_step(self):
        zero = jnp.zeros((), jnp.uint32)
        return tg.States(rng=jax.random.key(0), step=jnp.zeros((), jnp.int32), net_params=zero, metrics_states=None)

    def train_step(self, x, states, initializing):
        if initializing:
            return {"loss": 0.0}, states
        slow = jax.lax.fori_loop(0, 30, lambda _, a: jnp.tanh(a @ a.T @ a), x.astype(jnp.float32) / 1e4)
        # The batch is read again after the slow part, and how it enters the sum depends on its place.
        late = jnp.where(jnp.isfinite(slow), x, -1).astype(jnp.uint32)
        total = states.net_params * jnp.uint32(3) + jnp.sum(late * jnp.arange(WIDTH, dtype=jnp.uint32)[None])
        return {"loss": 0.0}, states.update(net_params=total)


def expected(batches: list[np.ndarray]) -> int:
    total = 0
    for x in batches:
        total = (total * 3 + int(np.sum(x.astype(np.uint64) * np.arange(WIDTH, dtype=np.uint64)))) % 2**32
    return total


@pytest.fixture
def load() -> Iterator[None]:
    """Threads that take the processor from whoever computes."""
    stop = threading.Event()

    def burn() -> None:
        a = np.ones((300, 300), np.float32)
        while not stop.is_set():
            np.dot(a, a)

    threads = [threading.Thread(target=burn) for _ in range(3)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.once
@pytest.mark.parametrize("steps_per_execution", [1, 3, 16])
@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_under_load(load, source, steps_per_execution):
    model = Summing()
    arguments: dict[str, Any] = {"verbose": 0, "steps_per_execution": steps_per_execution}
    batches = np.split(X, STEPS)
    if source == "arrays":
        model, _ = model.fit(X, batch_size=BATCH, shuffle=False, **arguments)
    else:
        model, _ = model.fit((x.copy() for x in batches), **arguments)
    assert int(model.parameters) == expected(batches)


def test_buffers_wait_for_their_marker():
    ring = Ring([((8,), np.float32)])
    slots = [ring.next() for _ in range(3)]
    waited: list[int] = []

    class Marker:
        def __init__(self, number: int):
            self.number = number

        def block_until_ready(self) -> None:
            waited.append(self.number)

    buffers = [slot.buffers[0] for slot in slots]
    for i, slot in enumerate(slots):
        slot.used(Marker(i))
    again = ring.next()
    assert again.buffers[0] is buffers[0] and waited == [0]


def test_buffers_without_a_marker_are_left_alone():
    """Whoever took them may still read them, so others take their place."""
    ring = Ring([((8,), np.float32)])
    buffers = [ring.next().buffers[0] for _ in range(3)]
    assert all(ring.next().buffers[0] is not buffer for buffer in buffers)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.complex64, jnp.bfloat16])
def test_buffers_are_read_in_place(dtype):
    buffer = aligned((3, 5), dtype)
    assert buffer.ctypes.data % 64 == 0 and buffer.shape == (3, 5) and buffer.dtype == dtype
    assert not buffer.view(np.uint8).any()
