"""Steps that are compiled again and again are explained, once."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

import treegy as tg
from helpers import numbers
from treegy._loop import _retrace

X = numbers(8, 3)
SGD = optax.sgd(0.1)


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retrace, "_known", type(_retrace._known)())


class Scaled(eqx.Module):
    linear: eqx.nn.Linear
    scale: Any

    def __call__(self, x: Any) -> Any:
        return self.linear(x) * self.scale


def fit(scale: Any = 1.0, optimizer: Any = SGD, loss: Any = None) -> None:
    net = Scaled(eqx.nn.Linear(3, 2, key=jax.random.key(0)), scale)
    model = tg.Model(net, loss=loss or tg.losses.MeanSquaredError(), optimizer=optimizer)
    _ = model.fit(X, X[:, :2], batch_size=4, verbose=0)


def explained(make: Callable[[int], None], times: int = 5) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for i in range(times):
            make(i)
    assert all(w.category is tg.RetraceWarning for w in found)
    return [str(w.message) for w in found]


def test_a_number():
    (text,) = explained(lambda i: fit(scale=0.125 + i))
    assert "the train step was compiled again, for the third model of the same class and shapes" in text
    assert "`model.module.scale` was 1.125 and is 2.125. A number that is to change is made an array" in text


def test_it_is_said_of_the_users_line():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for i in range(3):
            fit(scale=0.375 + i)
    assert [w.filename for w in found] == [__file__]


def test_an_array_is_none():
    assert explained(lambda i: fit(scale=jnp.asarray(0.125 + i))) == []


def test_an_optimizer_made_again():
    (text,) = explained(lambda i: fit(optimizer=optax.sgd(0.1)))
    assert "`model.optimizer.init` was" in text or "`model.optimizer.update` was" in text
    assert "Models share a program if they have the same optimizer object: make it once" in text
    assert "`tg.Optimizer(optax.adam, rate)` in place of `optax.adam(rate)`" in text


def test_the_optimizer_that_is_advised_is_none():
    assert explained(lambda i: fit(optimizer=tg.Optimizer(optax.sgd, 0.01 * i))) == []


def test_a_function_made_again():
    def make(i: int) -> None:
        def mse(y_true: Any, y_pred: Any) -> Any:
            return jnp.mean((y_true - y_pred) ** 2, axis=-1)

        fit(loss=mse)

    (text,) = explained(make)
    assert "`model.loss` was `test_a_function_made_again.<locals>.make.<locals>.mse` at 0x" in text
    assert "have the same function objects: make it once" in text


def test_other_models_are_none():
    """Different functions, flags and losses are different programs, and nobody's mistake."""
    losses = [tg.losses.MeanSquaredError(), tg.losses.MeanAbsoluteError(), tg.losses.Huber(), tg.losses.LogCosh()]
    assert explained(lambda i: fit(loss=losses[i]), 4) == []
    assert explained(lambda i: fit(), 4) == []


def test_weak_types_are_none():
    """A parameter that began as a Python number doesn't compile the second training again."""
    traces: list[int] = []

    class Weak(eqx.Module):
        scale: Any

        def __call__(self, x: Any) -> Any:
            traces.append(1)
            return x * self.scale

    assert jnp.asarray(1.0).weak_type
    model = tg.Model(Weak(jnp.asarray(1.0)), loss=tg.losses.MeanSquaredError(), optimizer=SGD)
    model, _ = model.fit(X, X, batch_size=4, verbose=0)
    _ = model.fit(X, X, batch_size=4, verbose=0)
    assert len(traces) == 1
