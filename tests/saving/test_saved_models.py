"""`model.save` and `model.load`, for models of all kinds."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import linear
from helpers.linear_models import X, Y, arrays, fitted, identical, mlp, regression


class Noisy(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x, key):
        return self.linear(x) + jax.random.normal(key, (2,))


def test_save_and_load_into_a_fresh_model(tmp_path):
    trained = fitted(regression(mlp(), metrics=tg.metrics.Mean()))
    trained.save(tmp_path / "model")
    fresh = regression(mlp(seed=9), metrics=tg.metrics.Mean(), seed=7)
    loaded = fresh.load(tmp_path / "model")
    assert identical(
        arrays(loaded.states.update(metrics_states=None)), arrays(trained.states.update(metrics_states=None))
    )
    assert identical(loaded.predict(X), trained.predict(X))
    assert not fresh.initialized and identical(arrays(fresh.module), arrays(mlp(seed=9)))
    assert loaded.states.metrics_states is None


def test_continued_training_equals_uninterrupted_training(tmp_path):
    through, history = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=4, verbose=0)
    half, first = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=2, verbose=0)
    half.save(tmp_path)
    loaded = regression(Noisy(linear(seed=5)), seed=1).load(tmp_path)
    rest, second = loaded.fit(X, Y, batch_size=4, epochs=4, initial_epoch=2, verbose=0)
    assert identical(arrays(rest.states), arrays(through.states))
    assert first.history["loss"] + second.history["loss"] == history.history["loss"]
    assert second.epoch == [2, 3]


def test_load_into_a_model_that_was_used(tmp_path):
    trained = fitted(regression())
    trained.save(tmp_path)
    used, _ = regression(linear(seed=2)).train_on_batch(X, Y)
    used, _ = used.test_on_batch(X, Y)
    loaded = used.load(tmp_path)
    assert identical(arrays(loaded.module), arrays(trained.module))
    assert int(loaded.states.step) == 3


class Own(tg.Model):
    """Makes its parameters in a step."""

    def test_step(self, x, y_true, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.zeros((x.shape[1], 2)), "b": jnp.zeros(2)}, seen=0)
        y_pred = x @ states.net_params["w"] + states.net_params["b"][None]
        loss = jnp.mean((y_pred - y_true) ** 2)
        return loss, {"loss": loss}, states.update(seen=states.seen + 1)


class Bare(tg.Model):
    """Makes its parameters in a step, and adds no other fields."""

    def pred_step(self, x, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.ones((x.shape[1], 2)), "rest": [(jnp.ones(1), None)]})
        return x @ states.net_params["w"], states


def test_save_and_load_of_a_model_without_a_module(tmp_path):
    initialized = Bare(loss=tg.losses.MeanSquaredError()).init(X, Y)
    initialized.save(tmp_path)
    loaded = Bare(loss=tg.losses.MeanSquaredError(), seed=5).load(tmp_path)
    assert loaded.initialized and identical(arrays(loaded.parameters), arrays(initialized.parameters))
    assert loaded.evaluate(X, Y, verbose=0) == initialized.evaluate(X, Y, verbose=0)


def test_save_and_load_of_what_the_file_alone_cannot_rebuild(tmp_path):
    def make() -> tg.Model[Any]:
        return Own(optimizer=optax.sgd(0.1, momentum=0.9))

    trained, _ = make().fit(X, Y, batch_size=4, verbose=0)
    trained.save(tmp_path)
    with pytest.raises(tg.CheckpointError, match=r"call `model.init\(x, y\)` first"):
        make().load(tmp_path)
    loaded = make().init(X, Y).load(tmp_path)
    assert identical(arrays(loaded.states), arrays(trained.states))


def test_load_another_architecture(tmp_path):
    trained = fitted(regression(mlp()))
    trained.save(tmp_path)
    for module in (mlp(depth=2), linear()):
        model = regression(module)
        before = jax.tree.map(np.array, arrays(model.module))
        with pytest.raises(tg.CheckpointError, match="belongs to another architecture:\n.*net_params"):
            model.load(tmp_path)
        assert identical(jax.tree.map(np.array, arrays(model.module)), before)
    with pytest.raises(tg.CheckpointError, match="optimizer_states"):
        regression(mlp(), optimizer=optax.sgd(0.1)).load(tmp_path)


@pytest.mark.standard_promotion  # `eqx.nn.BatchNorm` counts in integers
def test_load_of_a_module_with_state(tmp_path):
    def make(seed: int) -> tg.Model[Any]:
        module, state = eqx.nn.make_with_state(Normed)(jax.random.key(seed))
        return regression(module, state=state)

    trained = fitted(make(0))
    trained.save(tmp_path)
    loaded = make(1).load(tmp_path)
    assert identical(loaded.predict(X), trained.predict(X))
    assert identical(arrays(fitted(loaded).states), arrays(fitted(trained).states))


class Normed(eqx.Module):
    norm: eqx.nn.BatchNorm
    linear: eqx.nn.Linear

    def __init__(self, key: Any):
        self.norm = eqx.nn.BatchNorm(3, "batch", mode="batch")
        self.linear = eqx.nn.Linear(3, 2, key=key)

    def __call__(self, x, state):
        x, state = self.norm(x, state)
        return self.linear(x), state


@pytest.mark.standard_promotion  # `eqx.nn.BatchNorm` counts in integers
def test_state_of_a_module():
    module, state = eqx.nn.make_with_state(Normed)(jax.random.key(0))
    model = regression(module, state=state)
    before = jax.tree.map(np.array, arrays(state))
    trained = fitted(model)
    assert identical(jax.tree.map(np.array, arrays(model.state)), before), "the user's own state is left alone"
    assert not identical(jax.tree.map(np.array, arrays(trained.state)), before)
    assert identical(arrays(trained.state), arrays(trained.states.state))
    assert identical(arrays(trained.states), arrays(fitted(model).states))
    evaluated, _ = trained.test_on_batch(X, Y)
    assert identical(arrays(evaluated.state), arrays(trained.state)), "evaluating changes no running statistics"
    outputs, _ = jax.vmap(
        eqx.nn.inference_mode(trained.module), axis_name="batch", in_axes=(0, None), out_axes=(0, None)
    )(X, jax.tree.map(lambda leaf: leaf, trained.state))
    assert np.allclose(trained.predict(X), outputs, atol=1e-6)
