"""What `load` gives: to models that were saved early, of the module alone, and where hyperparameters differ."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import ADAM, X, Y, fit, make_model, same

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]
NET: Any = make_model().module


# Models that were saved before training


class Growing(tg.Model[Any]):
    """Makes its parameters in its first step."""

    def pred_step(self, x, states, initializing):
        if initializing:
            states = states.update(net_params=jnp.ones((x.shape[-1], 2)), extra=jnp.zeros(()))
        return x @ states.net_params, states


@pytest.mark.parametrize("initialized", [False, True])
def test_a_model_that_was_saved_before_training(tmp_path, initialized):
    model = make_model(seed=7)
    model.save(tmp_path)
    into = make_model() if not initialized else fit(epochs=1)[0]
    loaded = into.load(tmp_path)
    assert not loaded.initialized
    found, history = fit(model=loaded)
    expected, of_expected = fit(model=model)
    assert same(found.states, expected.states) and history.history == of_expected.history


def test_a_model_without_parameters_yet(tmp_path):
    model = Growing(loss=tg.losses.MeanSquaredError(), optimizer=ADAM, seed=7)
    model.save(tmp_path)
    trained, history = fit(model=model)
    for into in (Growing(loss=model.loss, optimizer=ADAM), trained):
        loaded = into.load(tmp_path)
        assert not loaded.initialized
        found, of_found = fit(model=loaded)
        assert same(found.states, trained.states) and of_found.history == history.history
    trained.save(tmp_path)
    # As an average of the parameters is: what steps add to the states is taken from the file.
    assert same(model.init(X, Y).load(tmp_path).states, trained.states)


def test_optimizer_states_that_were_dropped(tmp_path):
    trained, _ = fit()
    dropped = trained.replace(states=trained.states.update(optimizer_states=None))
    dropped.save(tmp_path)
    for into in (make_model(), trained):
        loaded = into.load(tmp_path)
        assert loaded.states.optimizer_states is None and same(loaded.module, trained.module)
        fit(model=loaded, epochs=1)


# The module alone


class Normed(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self):
        self.linear = eqx.nn.Linear(3, 2, key=jax.random.key(0))
        self.norm = eqx.nn.BatchNorm(2, "batch", mode="batch")

    def __call__(self, x, state):
        return self.norm(self.linear(x), state)


def normed(optimizer: Any = ADAM, **fields: Any) -> tg.Model[Any]:
    net, state = eqx.nn.make_with_state(Normed)()
    return tg.Model(net, state=state, loss=tg.losses.MeanSquaredError(), optimizer=optimizer, **fields)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
@pytest.mark.parametrize("optimizer", [None, optax.sgd(0.1), optax.sgd(0.1, momentum=0.9), ADAM])
def test_the_module_alone(tmp_path, form, optimizer):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"), model=normed())
    trained.save(tmp_path / "saved")
    loaded = normed(optimizer).load(tmp_path / form, only="module")
    assert not loaded.initialized
    assert np.array_equal(loaded.predict(X), trained.predict(X))
    assert same(loaded.module, trained.module) and same(loaded.state, trained.state)
    if optimizer is None:
        return
    # Trained on, its optimizer begins; one that has begun goes on.
    begun, _ = fit(model=normed(optimizer), epochs=1)
    found = begun.load(tmp_path / form, only="module")
    assert same(found.module, trained.module)
    assert same(found.states.optimizer_states, begun.states.optimizer_states)
    assert int(found.states.step) == int(begun.states.step)
    fit(model=loaded, epochs=1)
    fit(model=found, epochs=1)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
def test_which_parts_were_trained_does_not_matter_for_the_module(tmp_path, form):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"))
    trained.save(tmp_path / "saved")
    frozen = jax.tree.map(lambda _: False, NET)
    frozen = eqx.tree_at(lambda net: net.layers[-1].weight, frozen, True)
    model = make_model(trainable=frozen)
    with pytest.raises(tg.CheckpointError):
        model.load(tmp_path / form)
    assert same(model.load(tmp_path / form, only="module").module, trained.module)


def test_parameters_without_a_module(tmp_path):
    model = Growing(loss=tg.losses.MeanSquaredError(), optimizer=ADAM)
    trained, _ = fit(model=model)
    trained.save(tmp_path)
    loaded = Growing(loss=model.loss, optimizer=optax.sgd(0.1)).load(tmp_path, only="module")
    assert np.array_equal(loaded.predict(X), trained.predict(X))
    fit(model=loaded, epochs=1)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
@pytest.mark.parametrize("ema", [False, True])
def test_the_module_alone_is_what_was_measured(tmp_path, form, ema):
    """Also where the optimizer, which isn't loaded, evaluates at other parameters than it trains."""
    optimizer = optax.contrib.schedule_free_sgd(0.1)
    make = lambda: make_model(tg.with_ema(optimizer, 0.5) if ema else optimizer)  # noqa: E731
    callbacks = [tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"), *([tg.callbacks.EMA()] if ema else [])]
    trained, _ = fit(*callbacks, model=make(), validation_data=(X, Y))
    measured = trained.averaged() if ema and form == "checkpoints" else trained
    trained.save(tmp_path / "saved")
    y_pred = measured.predict(X)
    assert not np.allclose(jax.vmap(trained.module)(X), y_pred, rtol=1e-4)
    for other in (make(), make_model(optax.sgd(0.1)), make_model(None)):
        alone = other.load(tmp_path / form, only="module")
        np.testing.assert_allclose(jax.vmap(alone.module)(X), y_pred, rtol=1e-4)
        np.testing.assert_allclose(alone.predict(X), y_pred, rtol=1e-4)
        trains = other.load(tmp_path / form, only="module", averaged=False)
        assert same(trains.parameters, trained.parameters)
    np.testing.assert_allclose(make().load(tmp_path / form).predict(X), y_pred, rtol=1e-4)
    rest = [fit(model=model, epochs=1)[0] for model in (trained, make().load(tmp_path / form, averaged=False))]
    assert same(rest[0].parameters, rest[1].parameters)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
def test_the_error_of_another_optimizer_says_how(tmp_path, form):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"))
    trained.save(tmp_path / "saved")
    for optimizer in (None, optax.sgd(0.1)):
        with pytest.raises(tg.CheckpointError, match=r'optimizer_states(?s:.*)`load\(path, only="module"\)` takes the'):
            make_model(optimizer).load(tmp_path / form)
    with pytest.raises(tg.CheckpointError) as info:
        make_model(optax.sgd(0.1)).replace(module=eqx.nn.Linear(3, 2, key=jax.random.key(0))).load(tmp_path / form)
    assert "only=" not in str(info.value)
    with pytest.raises(ValueError, match="`only` is 'modul'; \"module\" or None is expected"):
        trained.load(tmp_path / form, only="modul")


# Hyperparameters


INJECTED = {
    "tg.Optimizer": lambda rate: tg.Optimizer(optax.adam, rate),
    "inject": lambda rate: optax.inject_hyperparams(optax.adam)(learning_rate=rate),
    "chain": lambda rate: optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.sgd)(learning_rate=rate)),
}


@pytest.mark.parametrize("make", INJECTED.values(), ids=INJECTED)
@pytest.mark.parametrize("form", ["saved", "checkpoints"])
def test_a_rate_that_is_not_the_one_of_the_model(tmp_path, make, form):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"), model=make_model(make(0.01)))
    trained.save(tmp_path / "saved")
    other = make_model(make(0.05))
    told = r"what was loaded holds: `(lr|learning_rate)` is 0.01, and the model was built with 0.05\. To have what"
    with pytest.warns(UserWarning, match=told) as found:
        loaded = other.load(tmp_path / form)
    assert len(found) == 1 and found[0].filename == __file__
    name = "lr" if "lr" in fit(model=other, epochs=1)[1] else "learning_rate"
    rate = lambda model: fit(model=model, epochs=1)[1][name]  # noqa: E731
    assert rate(loaded) == pytest.approx([0.01])
    assert rate(loaded.replace(optimizer=other.optimizer)) == pytest.approx([0.05])
    make_model(make(0.01)).load(tmp_path / form)
    other.load(tmp_path / form, only="module")


def test_a_rate_that_follows_a_schedule_is_none_of_this(tmp_path):
    optimizer = tg.Optimizer(optax.adam, optax.linear_schedule(0.1, 0.0, 10))
    fit(model=make_model(optimizer))[0].save(tmp_path)
    make_model(optimizer).load(tmp_path)
