"""Data that is placed on the device as a whole, as it is on accelerators: nothing else may change."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from treegy._data import _array_source
from treegy._data._as_arrays import Arrays
from treegy._data._chunk import Placed

N, BATCH = 22, 5
RNG = np.random.default_rng(0)
X = {"image": RNG.integers(0, 255, (N, 3), np.uint8), "length": RNG.normal(size=N).astype(np.float32)}
Y = RNG.integers(0, 2, N).astype(np.int32)
WEIGHT = RNG.uniform(0, 2, N).astype(np.float32)
SGD = optax.sgd(0.05, momentum=0.9)


class Net(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, image, length, key):
        noise = jax.random.normal(key, (1,))
        return self.linear(jnp.concatenate([image.astype(jnp.float32) / 255, length[None], noise]))


def make_model() -> tg.Model[Any]:
    return tg.Model(
        Net(eqx.nn.Linear(5, 2, key=jax.random.key(0))),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(),
        optimizer=SGD,
    )


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Data fits on the device; the list has an item for each batch that is traced over placed data."""
    used: list[int] = []
    at = Placed.at

    def counting(self: Placed, i: Any) -> Any:
        used.append(1)
        return at(self, i)

    monkeypatch.setattr(_array_source, "fits_on_device", lambda arrays: True)
    monkeypatch.setattr(Placed, "at", counting)
    return used


def run(**arguments: Any) -> tuple[Any, ...]:
    arguments = {"batch_size": BATCH, "epochs": 3, "sample_weight": WEIGHT, "verbose": 0, **arguments}
    model, history = make_model().fit(X, Y, **arguments)
    figures = model.evaluate(X, Y, batch_size=BATCH, sample_weight=WEIGHT, verbose=0)
    return model.parameters, dict(history), figures, model.predict(X, batch_size=BATCH)


@pytest.mark.once
@pytest.mark.parametrize(
    "arguments",
    [
        {"validation_split": 0.2, "class_weight": {0: 1.0, 1: 3.0}},
        {"shuffle": False, "drop_remainder": True},
        {"steps_per_epoch": 3},
        {"callbacks": [tg.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]},
    ],
    ids=["validation", "no remainder", "steps", "batch hooks"],
)
def test_all_is_as_with_data_that_stays(arguments, accelerator, monkeypatch):
    found = run(**arguments)
    assert accelerator
    monkeypatch.undo()
    expected = run(**arguments)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_it_is_placed_once(accelerator, monkeypatch):
    """Validation data too, however often it is looked at."""
    asked: list[int] = []
    monkeypatch.setattr(_array_source, "fits_on_device", lambda arrays: asked.append(arrays.length) or True)
    make_model().fit(X, Y, batch_size=BATCH, epochs=3, validation_data=(X, Y), verbose=0)
    assert asked == [N, N]


class Device:
    def __init__(self, platform: str, limit: int, used: int):
        self.platform = platform
        self._stats = {"bytes_limit": limit, "bytes_in_use": used}

    def memory_stats(self) -> Any:
        return self._stats


@pytest.mark.parametrize(
    ("device", "fits"),
    [
        (Device("gpu", 300, 100), True),
        (Device("gpu", 299, 100), False),
        (Device("gpu", 0, 0), False),
        (Device("cpu", 10**9, 0), False),
    ],
)
def test_it_takes_at_most_half_of_what_is_free(device, fits, monkeypatch):
    """On the CPU, where arrays are already, nothing is placed."""
    arrays = Arrays.of(np.zeros((5, 4), np.float32), np.zeros(5, np.float32))  # 100 bytes
    monkeypatch.setattr(_array_source, "default_device", lambda: device)
    assert _array_source.fits_on_device(arrays) is fits
