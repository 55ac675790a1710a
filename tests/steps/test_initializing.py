"""`init` fills what is missing, and no more: a step that doesn't know of it needs no branch for it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.optimizing import MSE, X, Y, linear

pytestmark = pytest.mark.standard_promotion


def arrays(tree: Any) -> list[Any]:
    return [np.asarray(a) for a in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))]


class OwnTrainStep(tg.Model):
    def train_step(self, x, y_true, states):
        def loss(params):
            return jnp.mean((jax.vmap(eqx.combine(params, states.net_states))(x) - y_true) ** 2)

        value, grads = jax.value_and_grad(loss)(states.net_params)
        updates, optimizer_states = self.optimizer.update(grads, states.optimizer_states, states.net_params)
        net_params = optax.apply_updates(states.net_params, updates)
        return {"loss": value}, states.update(net_params=net_params, optimizer_states=optimizer_states)


@pytest.mark.parametrize("first", ["fit", "init", "train_on_batch"])
def test_an_own_train_step_trains_as_the_default_one(first):
    own = OwnTrainStep(linear(), optimizer=optax.adam(1e-2))
    default = tg.Model(linear(), loss=MSE, optimizer=optax.adam(1e-2))
    if first == "train_on_batch":
        (own, _), (default, _) = own.train_on_batch(X, Y), default.train_on_batch(X, Y)
    elif first == "init":
        own = own.init(X, Y)
        assert own.states.step == 0 and arrays(own.module)[0] == pytest.approx(arrays(linear())[0])
        assert all(not a.any() for a in arrays(own.states.optimizer_states))
    (own, history), (default, expected) = (m.fit(X, Y, batch_size=4, epochs=2, verbose=0) for m in (own, default))
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    for a, b in zip(arrays(own.module), arrays(default.module), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


class Counting(tg.Model):
    def states_step(self):
        return super().states_step().update(net_params=jnp.zeros(()))

    def train_step(self, x, y_true, states):
        return {"loss": jnp.mean((x - y_true) ** 2)}, states.update(net_params=states.net_params + 1)


def test_a_train_step_alone_makes_a_model():
    model = Counting().init(X, X)
    assert model.initialized and model.states.net_params == 0
    trained, history = Counting().fit(X, X, batch_size=4, epochs=2, verbose=0)
    assert trained.states.net_params == 6 and history["loss"] == [0, 0]
    again, _ = model.fit(X, X, batch_size=4, epochs=2, verbose=0)
    assert again.states.net_params == 6


class Averaging(tg.Model):
    """Adds to the default step, by the idiom for that, a count and an average of the parameters."""

    def states_step(self):
        states = super().states_step()
        return states.update(count=0, average=jax.tree.map(jnp.zeros_like, states.net_params))

    def train_step(self, **given):
        logs, states = super().train_step(**given)
        average = jax.tree.map(lambda a, p: a + p, states.average, states.net_params)
        return logs, states.update(count=states.count + 1, average=average)


@pytest.mark.parametrize("initialized", [False, True])
def test_what_a_step_adds_up_is_added_once_a_batch(initialized):
    model = Averaging(linear(), loss=MSE, optimizer=optax.sgd(0.1))
    model = model.init(X, Y) if initialized else model
    expected, by_hand = tg.Model(linear(), loss=MSE, optimizer=optax.sgd(0.1)), np.zeros((1, 4))
    for _ in range(3):
        expected, _ = expected.fit(X, Y, batch_size=12, verbose=0)
        by_hand = by_hand + np.asarray(expected.module.weight)
    model, _ = model.fit(X, Y, batch_size=12, epochs=3, verbose=0)
    assert model.states.count == 3
    np.testing.assert_allclose(model.states.average.weight, by_hand, rtol=1e-5)


class Begun(tg.Model):
    """A step that names `initializing` says itself what to begin with."""

    def train_step(self, x, y_true, states, initializing):
        logs, states = super().train_step(x, y_true, None, None, states, initializing, not initializing)
        return logs, states.update(begun=jnp.asarray(7.0) if initializing else states.begun + 1)

    def states_step(self):
        return super().states_step().update(begun=jnp.zeros(()))


def test_a_step_that_names_initializing_is_heard():
    model = Begun(linear(), loss=MSE, optimizer=optax.sgd(0.1)).init(X, Y)
    assert model.states.begun == 7


# Checking before training


def test_check_sees_what_training_alone_asks_for():
    net = eqx.nn.Sequential([eqx.nn.Linear(4, 1, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    fine = tg.Model(net, loss=MSE, optimizer=optax.sgd(0.1))
    fine.check(X, Y)

    class Keyless(eqx.Module):
        inner: Any

        def __call__(self, x):
            return self.inner(x)

    tg.Model(Keyless(net), loss=MSE).check(X, Y)  # nobody trains it
    with pytest.raises(RuntimeError, match="[Dd]ropout requires a key"):
        tg.Model(Keyless(net), loss=MSE, optimizer=optax.sgd(0.1)).check(X, Y)


def test_check_takes_shapes_for_training_too():
    model = tg.Model(linear(), loss=MSE, optimizer=optax.adam(0.1))
    model.check(jax.ShapeDtypeStruct((12, 4), "float32"), jax.ShapeDtypeStruct((12, 1), "float32"))
    Counting().check(X, X)


def test_check_of_an_optimizer_that_has_nothing_to_train():
    model = tg.Model(lambda x: x, loss=MSE, optimizer=optax.sgd(0.1))
    with pytest.raises(ValueError, match="there is nothing to train"):
        model.check(X, X)
