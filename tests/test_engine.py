"""How chunks are compiled: what makes them faster changes no result."""

from collections.abc import Generator
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg
from treegy.loop import _engine

X = np.random.default_rng(0).normal(size=(22, 3)).astype(np.float32)
SGD = optax.sgd(0.05, momentum=0.9)


def run() -> Any:
    net = eqx.nn.MLP(3, 3, 5, 2, key=jax.random.key(0))
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=SGD)
    model, history = model.fit(X, X[:, ::-1].copy(), batch_size=5, epochs=2, verbose=0)
    logs = model.evaluate(X, X, batch_size=5, verbose=0)
    return [np.asarray(a).tobytes() for a in jax.tree.leaves(model.parameters)], dict(history), logs


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Generator[dict[str, Any]]:
    """Those that chunks are compiled with, to be changed."""
    changed = dict(_engine._OPTIONS)
    monkeypatch.setattr(_engine, "_OPTIONS", changed)
    _engine._program.cache_clear()
    yield changed
    _engine._program.cache_clear()


def test_options_change_not_a_bit(options):
    expected = run()
    options.clear()
    _engine._program.cache_clear()
    assert run() == expected


def test_an_option_that_there_is_not(options):
    """As where a later XLA has dropped it: chunks are compiled without."""
    expected = run()
    options["xla_cpu_that_was_dropped"] = True
    _engine._program.cache_clear()
    assert run() == expected
    assert options == {}


def test_the_option_is_there_now():
    run()
    assert _engine._OPTIONS
