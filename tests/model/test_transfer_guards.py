"""Under JAX's transfer guards, arrays on the device pass, and arrays on the host don't."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

import treegy as tg
from helpers import numbers

X = numbers(8, 4)
Y = X.sum(axis=1, keepdims=True)
MSE = tg.losses.MeanSquaredError()


def on_device() -> tuple[Any, Any, Any]:
    model = tg.Model(
        eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0)),
        loss=MSE,
        metrics=tg.metrics.MeanAbsoluteError(),
        optimizer=optax.adam(0.1),
    )
    return model, jnp.asarray(X), jnp.asarray(Y)


@pytest.mark.standard_promotion
@pytest.mark.parametrize(
    "run",
    [
        lambda m, x, y: m.train_on_batch(x, y, jnp_ones),
        lambda m, x, y: m.test_on_batch(x, y),
        lambda m, x, y: m.predict_on_batch(x),
        lambda m, x, y: m.init(x, y),
        lambda m, x, y: m.fit(x, y, batch_size=3, epochs=2, verbose=0, validation_data=(x, y)),
        lambda m, x, y: m.fit(x, y, batch_size=3, verbose=0, shuffle=False, validation_split=0.25),
        lambda m, x, y: m.evaluate(x, y, batch_size=3, verbose=0),
        lambda m, x, y: m.predict(x, batch_size=3),
    ],
)
def test_arrays_on_the_device_pass_a_guard(run: Any):
    model, x, y = on_device()
    with jax.transfer_guard("disallow"):
        run(model, x, y)
        run(model, x, y)


jnp_ones = jnp.ones(8)


@pytest.mark.standard_promotion
def test_arrays_on_the_host_are_still_guarded():
    model, x, _ = on_device()
    for run in (lambda: model.train_on_batch(X, Y), lambda: model.train_on_batch(x, Y), lambda: model.predict(X)):
        with jax.transfer_guard("disallow"), pytest.raises(Exception, match="(?i)disallowed host-to-device transfer"):
            run()
