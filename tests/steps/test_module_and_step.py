"""Losses and metrics that ask for `module` and `step`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.optimizing import MSE, RNG, X, Y, fit, linear, same

# Optax's own promotions of dtypes and ranks.
pytestmark = pytest.mark.standard_promotion


def mlp(size_in: int = 4) -> eqx.nn.MLP:
    return eqx.nn.MLP(size_in, "scalar", 16, 2, jnp.tanh, key=jax.random.key(0))


# `module`: residuals of differential equations, penalties of gradients


def residual(x, module):
    """Of u'' + u = 0: with u(0) = 0 and u'(0) = 1, the sine."""

    def u(t):
        return module(t[None])

    second = jax.vmap(jax.grad(jax.grad(u)))(x[:, 0])
    return (second + jax.vmap(u)(x[:, 0])) ** 2


def borders(module):
    def u(t):
        return module(t[None])

    return u(jnp.zeros(())) ** 2 + (jax.grad(u)(jnp.zeros(())) - 1) ** 2


def test_a_differential_equation_is_learned():
    t = np.linspace(0, 2, 64, dtype="float32")[:, None]
    model = tg.Model(mlp(1), loss=[residual, borders], optimizer=optax.adam(1e-2))
    model, history = fit(model, t, batch_size=64, epochs=600)
    assert history["loss"][-1] < 1e-3
    np.testing.assert_allclose(model.predict(t), np.sin(t[:, 0]), atol=0.05)


def gradient_penalty(x, module):
    norms = jnp.linalg.norm(jax.vmap(jax.grad(module))(x), axis=-1)
    return (norms - 1) ** 2


def test_a_penalty_of_gradients_trains_as_by_hand():
    def by_hand(net):
        norms = jnp.linalg.norm(jax.vmap(jax.grad(net))(X), axis=-1)
        return jnp.mean((norms - 1) ** 2)

    net, optimizer = mlp(), optax.sgd(0.1)
    state = optimizer.init(eqx.filter(net, eqx.is_inexact_array))
    for _ in range(3):
        updates, state = optimizer.update(eqx.filter_grad(by_hand)(net), state)
        net = eqx.apply_updates(net, updates)
    model, _ = fit(tg.Model(mlp(), loss=gradient_penalty, optimizer=optimizer), X)
    same(eqx.filter(model.module, eqx.is_array), eqx.filter(net, eqx.is_array))


def test_the_module_is_that_of_the_step_and_in_inference_mode_outside_training():
    seen = []

    def looking(x, module, training):
        seen.append((training, module.layers[1].inference))
        return jnp.zeros(len(x)) + 0 * module.layers[0].weight.sum()

    net = eqx.nn.Sequential([eqx.nn.Linear(4, 1, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    model = tg.Model(net, loss=looking, optimizer=optax.sgd(0.1))
    model, _ = fit(model, X, Y)
    model.evaluate(X, Y, verbose=0)
    assert set(seen) == {(True, False), (False, True)}


def test_a_model_without_a_module_has_none_to_give():
    class Own(tg.Model):
        def pred_step(self, x, states):
            return x, states

    with pytest.raises(tg.InjectionError, match="asks for `module`, which is not available(.|\n)*the model has none"):
        Own(loss=lambda x, module: x.sum(axis=-1)).evaluate(X, verbose=0)


# `step`


def test_metrics_see_the_step_of_the_model():
    steps = tg.metrics.Max(of=lambda x, step: jnp.full(len(x), step), name="steps")
    model = tg.Model(linear(), loss=MSE, metrics=steps, optimizer=optax.sgd(0.1))
    model, history = fit(model, batch_size=4)
    assert history["steps"] == [2, 5, 8]
    assert model.evaluate(X, Y, verbose=0)["steps"] == 9


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "weighted_mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_weight_that_is_a_schedule_multiplies_each_batch(reduction, weighted):
    """The epoch shows Σ weight · w · l / N, or / Σ w: against NumPy, with batches of 5, 5 and 2 and a weight of 0."""
    schedule = optax.piecewise_constant_schedule(3.0, {1: 0.0})
    factors = [3.0, 0.0, 0.0] if schedule(1) == 0 else [3.0, 3.0, 0.0]
    loss = tg.losses.MeanSquaredError(weight=schedule, reduction=reduction)
    model = tg.Model(linear(), loss=loss, optimizer=optax.sgd(0.0))
    w = RNG.uniform(0.5, 2, 12).astype("float32") if weighted else np.ones(12, "float32")
    given = {"sample_weight": w} if weighted else {}
    _, history = fit(model, batch_size=5, epochs=1, shuffle=False, **given)
    each = w * np.mean((np.asarray(model.predict(X), np.float64) - Y) ** 2, axis=-1)
    total = sum(f * each[i : i + 5].sum() for f, i in zip(factors, (0, 5, 10), strict=True))
    expected = {"sum_over_batch_size": total / 12, "weighted_mean": total / w.sum(), "sum": total}[reduction]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_its_gradients_are_those_of_the_weighted_loss():
    rates = optax.linear_schedule(1.0, 0.0, 4)
    model = tg.Model(linear(), loss=tg.losses.MeanSquaredError(weight=rates), optimizer=optax.sgd(0.1))
    by_rate = tg.Model(linear(), loss=MSE, optimizer=optax.sgd(lambda step: 0.1 * rates(step)))
    same(fit(model)[0].parameters, fit(by_rate)[0].parameters)


def test_alone_it_needs_the_step():
    loss = tg.losses.MeanSquaredError(weight=lambda step: 2.0 * step)
    assert loss(Y, Y + 1, step=3) == 6
    with pytest.raises(tg.InjectionError, match="has a `weight` that is a schedule.*: pass `step=`"):
        loss(Y, Y + 1)


def test_an_accumulator_cannot_be_weighted_so():
    class Own(tg.Loss):
        def call(self, y_true, y_pred, sample_weight=None):
            return tg.metrics.RootMeanSquaredError().call(y_true, y_pred, sample_weight)

    model = tg.Model(linear(), loss=Own(weight=lambda step: 1.0 * step))
    with pytest.raises(tg.ContractError, match="its `weight` is a schedule.* Return values per example"):
        model.evaluate(X, Y, verbose=0)


def by_hand(optimizer: Any, extras: Any, steps: int = 3) -> Any:
    """Training with optax alone, which is given what `extras` makes of the loss."""
    params, static = eqx.partition(linear(), eqx.is_inexact_array)

    def loss(params):
        return jnp.mean((jax.vmap(eqx.combine(params, static))(X) - Y) ** 2)

    state = optimizer.init(params)
    for _ in range(steps):
        value, grad = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grad, state, params, **extras(loss, value, grad))
        params = optax.apply_updates(params, updates)
    return params
