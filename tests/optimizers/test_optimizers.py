"""Optimizers get what their `update` takes, and models are evaluated where they say."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.optimizing import MSE, X, Y, fit, linear, same

# Optax's own promotions of dtypes and ranks.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]


# What optimizers ask for


def transformation(update: Any) -> Any:
    return optax.GradientTransformationExtraArgs(optax.identity().init, update)


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


OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "lbfgs": (optax.lbfgs(), lambda loss, value, grad: {"value": value, "grad": grad, "value_fn": loss}),
    "backtracking": (
        optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(15)),
        lambda loss, value, grad: {"value": value, "grad": grad, "value_fn": loss},
    ),
    "sam": (
        optax.contrib.sam(optax.sgd(0.1), optax.contrib.normalize(), sync_period=2),
        lambda loss, value, grad: {},
    ),
    "opaque sam": (
        optax.contrib.sam(optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), opaque_mode=True),
        lambda loss, value, grad: {"grad_fn": lambda params, i: jax.grad(loss)(params)},
    ),
    "plateau": (
        optax.chain(optax.sgd(0.3), optax.contrib.reduce_on_plateau(patience=1, cooldown=0)),
        lambda loss, value, grad: {"value": value},
    ),
    "polyak": (optax.polyak_sgd(), lambda loss, value, grad: {"value": value}),
    "several steps": (optax.MultiSteps(optax.adam(0.1), 2), lambda loss, value, grad: {}),
    "if finite": (optax.apply_if_finite(optax.adam(0.1), 3), lambda loss, value, grad: {}),
    "plain": (optax.GradientTransformation(*optax.sgd(0.1)), lambda loss, value, grad: {}),
    "tg.Optimizer": (
        tg.Optimizer(lambda learning_rate: optax.polyak_sgd(scaling=learning_rate), 1.0),
        lambda loss, value, grad: {"value": value},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_gets_what_it_takes(name):
    optimizer, extras = OPTIMIZERS[name]
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=optimizer))
    same(jax.tree.leaves(model.parameters), jax.tree.leaves(by_hand(optimizer, extras)))


def test_an_optimizer_of_ones_own_gets_what_it_names():
    asked = []

    def update(updates, state, params=None, *, value):
        asked.append(value)
        return jax.tree.map(lambda g: -0.1 * g, updates), state

    fit(tg.Model(linear(), loss=MSE, optimizer=transformation(update)))
    assert len(asked) == 1


def test_what_a_part_of_a_chain_refuses_is_named():
    def update(updates, state, params=None, *, value):
        return updates, state

    strict = transformation(update)
    model = tg.Model(linear(), loss=MSE, optimizer=optax.chain(optax.sgd(0.1), strict))
    with pytest.raises(TypeError) as error:
        fit(model)
    assert any("passes `grad` to the optimizer" in note and "`**extra`" in note for note in error.value.__notes__)


def test_keys_of_the_steps_within_a_step_differ():
    """Sharpness-aware steps see other dropout than the step that they are a part of, and the same ones again."""
    net = eqx.nn.Sequential([eqx.nn.Linear(4, 8, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    grads = []

    def update(updates, state, params=None, *, grad_fn):
        grads.extend([updates, *(grad_fn(params, i) for i in (0, 1, 0))])
        return jax.tree.map(jnp.zeros_like, updates), state

    optimizer = transformation(update)
    model = tg.Model(net, loss=lambda y_pred: (y_pred**2).sum(-1), optimizer=optimizer, run_eagerly=True)
    fit(model, X, epochs=1)
    weights = [np.asarray(g.layers[0].weight) for g in grads]
    assert np.array_equal(weights[1], weights[3])
    assert not np.allclose(weights[0], weights[1]) and not np.allclose(weights[1], weights[2])


# Parameters that an optimizer is evaluated at


def schedule_free() -> Any:
    return optax.contrib.schedule_free_adamw(0.1, warmup_steps=2)


@pytest.mark.parametrize("wrapped", ["alone", "in a chain", "with an average"])
def test_schedule_free_optimizers_are_evaluated_where_they_say(wrapped):
    optimizer = {
        "alone": schedule_free,
        "in a chain": lambda: optax.chain(optax.clip(10.0), schedule_free()),
        "with an average": lambda: tg.with_ema(schedule_free()),
    }[wrapped]()
    model, history = fit(
        tg.Model(linear(), loss=MSE, optimizer=optimizer), validation_data=(X, Y), epochs=6, batch_size=4
    )
    states = model.states.optimizer_states
    (state,) = [
        node
        for node in jax.tree.leaves(states, is_leaf=lambda n: isinstance(n, optax.contrib.ScheduleFreeState))
        if isinstance(node, optax.contrib.ScheduleFreeState)
    ]
    params = optax.contrib.schedule_free_eval_params(state, model.parameters)
    net = eqx.combine(params, model.module)
    y_pred = jax.vmap(net)(X)
    assert not np.allclose(y_pred, jax.vmap(model.module)(X), rtol=1e-3), "the parameters to evaluate at are others"
    np.testing.assert_allclose(model.predict(X), y_pred, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X), y_pred, rtol=1e-5, atol=1e-6)
    right = np.mean((np.asarray(y_pred) - Y) ** 2)
    assert model.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(right, rel=1e-4)
    assert history["val_loss"][-1] == pytest.approx(right, rel=1e-4)
    tested, logs = model.test_on_batch(X, Y)
    assert logs["loss"] == pytest.approx(right, rel=1e-4)
    same(tested.parameters, model.parameters, rtol=0)


def test_what_reads_the_states_finds_those_of_the_optimizer():
    rate = tg.metrics.Mean(of=lambda x, states: jnp.full(len(x), states.optimizer_states.hyperparams["lr"]), name="it")
    model, _ = fit(tg.Model(linear(), loss=MSE, metrics=rate, optimizer=tg.Optimizer(optax.sgd, 0.25)))
    assert model.evaluate(X, Y, verbose=0)["it"] == 0.25


# Complex parameters


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), optax.adam(0.1), tg.Optimizer(optax.sgd, 0.1)])
def test_complex_parameters_go_down(optimizer):
    class Scale(eqx.Module):
        w: jax.Array

        def __call__(self, x):
            return self.w * x

    def distance(y_true, y_pred):
        return jnp.abs(y_true - y_pred) ** 2

    x, y = np.ones(32, "complex64"), np.full(32, 1 + 2j, "complex64")
    model = tg.Model(Scale(jnp.zeros((), jnp.complex64)), loss=distance, optimizer=optimizer)
    model, history = fit(model, x, y, batch_size=32, epochs=150)
    assert history["loss"] == sorted(history["loss"], reverse=True) or history["loss"][-1] < 1e-3
    assert abs(complex(model.module.w) - (1 + 2j)) < 1e-2


def test_checkpoints_of_schedule_free_optimizers_hold_what_was_measured(tmp_path):
    best = tg.callbacks.ModelCheckpoint(tmp_path / "best", monitor="val_loss", save_best_only=True)
    made = tg.Model(linear(), loss=MSE, optimizer=schedule_free())
    model, history = fit(made, validation_data=(X, Y), epochs=6, batch_size=4, callbacks=[best])
    lowest = pytest.approx(min(history["val_loss"]), rel=1e-4)
    assert made.load(tmp_path / "best").evaluate(X, Y, verbose=0)["loss"] == lowest
    to_predict = tg.Model(linear(), loss=MSE).load(tmp_path / "best", only="module")
    assert to_predict.evaluate(X, Y, verbose=0)["loss"] == lowest
    averaged = model.averaged()
    np.testing.assert_allclose(jax.vmap(averaged.module)(X), model.predict(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(averaged.predict(X), model.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrapped", ["alone", "in a chain", "with an average"])
def test_the_averaged_model_is_evaluated_where_it_is(wrapped):
    optimizer = {
        "alone": schedule_free,
        "in a chain": lambda: optax.chain(optax.clip(10.0), schedule_free()),
        "with an average": lambda: tg.with_ema(schedule_free(), 0.5),
    }[wrapped]()
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=optimizer), epochs=6, batch_size=4)
    averaged = model.averaged()
    y_pred = jax.vmap(averaged.module)(X)
    np.testing.assert_allclose(averaged.predict(X), y_pred, rtol=1e-4)
    if wrapped != "with an average":
        np.testing.assert_allclose(model.predict(X), y_pred, rtol=1e-4)
        np.testing.assert_allclose(averaged.averaged().predict(X), y_pred, rtol=1e-4)
    assert fit(averaged, epochs=2)[1]["loss"][-1] < fit(model, epochs=1)[1]["loss"][0] * 1.5
