"""The steps: who calls which, how they call each other, and how they are compiled."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.core import Tracer

import treegy as tg
from helpers import linear, predicted
from helpers.steps import X, Y, make


def squared_error(model: tg.Model[Any]) -> float:
    return float(np.mean((Y - predicted(model.module, X)) ** 2))


SEEN: list[Any] = []
"""What the steps of these tests write down while they are traced."""


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


# Who calls whom


class Recorded(tg.Model):
    def call_pred_step(self, **kwargs):
        SEEN.append("call_pred_step")
        return super().call_pred_step(**kwargs)

    def pred_step(self, **kwargs):
        SEEN.append("pred_step")
        return super().pred_step(**kwargs)

    def call_test_step(self, **kwargs):
        SEEN.append("call_test_step")
        return super().call_test_step(**kwargs)

    def test_step(self, **kwargs):
        SEEN.append("test_step")
        return super().test_step(**kwargs)

    def grad_step(self, **kwargs):
        SEEN.append("grad_step")
        return super().grad_step(**kwargs)

    def call_train_step(self, **kwargs):
        SEEN.append("call_train_step")
        return super().call_train_step(**kwargs)

    def train_step(self, **kwargs):
        SEEN.append("train_step")
        return super().train_step(**kwargs)


TRAINING = ["call_train_step", "train_step", "grad_step", "test_step", "pred_step"]


def test_the_default_graph_is_traced_once():
    model = make(Recorded).init(X, Y)
    SEEN.clear()
    model, _ = model.fit(X, Y, epochs=3, batch_size=5)
    assert SEEN == TRAINING
    # The same again, which compiles nothing; then a last batch of another size.
    model.fit(X, Y, epochs=2, batch_size=5)
    assert SEEN == TRAINING
    SEEN.clear()
    model.evaluate(X, Y, batch_size=5)
    model.evaluate(X[:5], Y[:5], batch_size=5)
    assert SEEN == ["call_test_step", "test_step", "pred_step"]
    SEEN.clear()
    model.predict(X, batch_size=5)
    model.predict(X, batch_size=5)
    assert SEEN == ["call_pred_step", "pred_step"]


def test_the_last_smaller_batch_is_one_more_shape():
    model = make(Recorded).init(X, Y)
    SEEN.clear()
    model.fit(X, Y, epochs=3, batch_size=4)
    assert SEEN == 2 * TRAINING


class PredPlusOne(tg.Model):
    def pred_step(self, x, states, training):
        y_pred, states = super().pred_step(x, states, training=training)
        return y_pred + 1, states


class TestTwice(tg.Model):
    __test__ = False

    def test_step(self, x, y_true, states, training):
        loss, logs, states = super().test_step(x, y_true, states=states, training=training)
        return 2 * loss, {**logs, "twice": 2 * loss}, states


class GradTwice(tg.Model):
    def grad_step(self, **kwargs):
        loss, logs, states, grads = super().grad_step(**kwargs)
        return loss, {**logs, "norm": optax.tree.norm(grads)}, states, jax.tree.map(lambda g: 2 * g, grads)


class TrainLogs(tg.Model):
    def train_step(self, **kwargs):
        logs, states = super().train_step(**kwargs)
        return {**logs, "weight": jnp.sum(states.net_params.weight)}, states


class InitOnes(tg.Model):
    def init_step(self, x, states):
        return super().init_step(x=x, states=states.update(net_params=jax.tree.map(jnp.ones_like, states.net_params)))


@pytest.mark.parametrize("cls", [PredPlusOne, TestTwice, GradTwice, TrainLogs, InitOnes])
def test_overriding_one_step_leaves_the_others_working(cls):
    model = make(cls)
    start = jax.tree.map(jnp.ones_like, linear()) if cls is InitOnes else linear()
    shift, factor = (cls is PredPlusOne), (2 if cls is TestTwice else 1)
    error = predicted(start, X) + shift - Y

    model, history = model.fit(X, Y, batch_size=10)
    expected = {"loss": np.mean(error**2), "mse_loss": np.mean(error**2)}
    grad = 2 * error.T @ X / error.size * factor
    bias = 2 * error.sum(axis=0) / error.size * factor
    if cls is TestTwice:
        expected["twice"] = 2 * expected["loss"]
    if cls is GradTwice:
        expected["norm"] = np.sqrt((grad**2).sum() + (bias**2).sum())
    if cls is TrainLogs:
        expected["weight"] = np.sum(np.asarray(model.module.weight))
    assert history.history == {name: [pytest.approx(value, rel=1e-4)] for name, value in expected.items()}
    factor = 2 if cls is GradTwice else 1
    np.testing.assert_allclose(model.module.weight, start.weight - 0.1 * factor * grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.module.bias, start.bias - 0.1 * factor * bias, rtol=1e-4, atol=1e-6)

    y_pred = predicted(model.module, X) + shift
    np.testing.assert_allclose(model.predict(X), y_pred, rtol=1e-5, atol=1e-6)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(np.mean((y_pred - Y) ** 2), rel=1e-4)


class CallPred(tg.Model):
    def call_pred_step(self, **kwargs):
        y_pred, states = super().call_pred_step(**kwargs)
        return y_pred + 1, states


class CallTest(tg.Model):
    def call_test_step(self, **kwargs):
        loss, _, states = super().call_test_step(**kwargs)
        return loss, {"only": loss}, states


class CallTrain(tg.Model):
    def call_train_step(self, x, y_true, states):
        return super().call_train_step(x[:5], y_true[:5], states=states, training=True)


class CallInit(tg.Model):
    def call_init_step(self, **kwargs):
        return super().call_init_step(**kwargs).update(initialized_by="call_init_step")


@pytest.mark.parametrize("cls", [CallPred, CallTest, CallTrain, CallInit])
def test_entry_points_change_one_caller_only(cls):
    plain, model = make().init(X, Y), make(cls).init(X, Y)
    predictions = model.predict(X) - plain.predict(X)
    np.testing.assert_allclose(predictions, np.full((10, 2), cls is CallPred), atol=1e-6)
    logs = model.evaluate(X, Y)
    assert list(logs) == (["only"] if cls is CallTest else ["loss", "mse_loss"])
    assert list(logs.values())[0] == pytest.approx(squared_error(plain), rel=1e-5)
    _, logs = model.train_on_batch(X, Y)
    error = Y - predicted(linear(), X)
    assert float(logs["loss"]) == pytest.approx(np.mean((error[:5] if cls is CallTrain else error) ** 2), rel=1e-5)
    assert model.states.get("initialized_by") == ("call_init_step" if cls is CallInit else None)


def wrapped(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return step(*args, **kwargs)

    return wrapper


class Decorated(tg.Model):
    @wrapped
    def test_step(self, y_true, *, x, states):
        loss = jnp.mean((y_true - jax.vmap(self.module)(x)) ** 2)
        return loss, {"decorated": loss}, states


def test_signatures_are_read_under_decorators():
    model = make(Decorated)
    assert model.evaluate(X, Y) == {"decorated": pytest.approx(squared_error(model), rel=1e-5)}


class Inherited(TestTwice):
    def train_step(self, **kwargs):
        logs, states = super().train_step(**kwargs)
        return {**logs, "more": 1}, states


def test_steps_are_inherited():
    _, history = make(Inherited).fit(X, Y)
    assert list(history.history) == ["loss", "mse_loss", "twice", "more"]


# Calling steps from each other


class Arguments(tg.Model):
    def train_step(self, **kwargs):
        SEEN.append(kwargs)
        return {}, kwargs["states"]


def test_steps_take_arguments_by_position_or_name_and_default_the_rest():
    model, states = make(Arguments), make().states
    by_position = ("x", "y", "weight", "classes", states, True, False)
    names = ("x", "y_true", "sample_weight", "class_weight", "states", "initializing", "training")
    model.train_step(*by_position)
    model.train_step(**dict(zip(names, by_position, strict=True)))
    model.train_step("x", "y", states=states)
    full = dict(zip(names, by_position, strict=True))
    assert SEEN[0] == SEEN[1] == full
    absent = {"sample_weight": None, "class_weight": None, "initializing": False, "training": False}
    assert SEEN[2] == {**full, **absent}
    # Without states, those of the model.
    model.train_step()
    assert set(SEEN[3]) == set(names) and eqx.tree_equal(SEEN[3]["states"], model.states)


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        (tuple(range(8)), {}, "takes at most 7 arguments .* and got 8"),
        (
            (1, 2, tg.States()),
            {},
            r"got States\(\) for `sample_weight`\. By position it takes x, y_true, sam",
        ),
        (
            (),
            {"states": {}},
            "got .* for `states`. By position .* pass arguments by name, such as `states=states`",
        ),
        ((1,), {"x": 2}, "got `x` twice, by position and by name"),
        ((), {"y": 2}, r"takes x, y_true, .* and got `y`"),
        ((), {"trainig": True}, r"takes x, .* and got `trainig`. Did you mean `training`\?"),
    ],
)
def test_arguments_that_a_step_does_not_take(args, kwargs, message):
    with pytest.raises(tg.InjectionError, match=rf"step `train_step` \(.*\) {message}"):
        make(Arguments).train_step(*args, **kwargs)


class Perturbed(tg.Model):
    """Sharpness-aware: the gradient at parameters that a first gradient leads to."""

    def grad_step(self, *, states, **kwargs):
        _, _, _, grads = super().grad_step(states=states, **kwargs)
        moved = states.update(net_params=jax.tree.map(lambda p, g: p + 0.5 * g, states.net_params, grads))
        _, _, _, grads = super().grad_step(states=moved, **kwargs)
        loss, logs, states = self.test_step(states=states, **kwargs)
        return loss, logs, states, grads


def test_a_step_can_call_others_with_other_states():
    def loss(module: Any) -> Any:
        return jnp.mean((jax.vmap(module)(X) - Y) ** 2)

    start = linear()
    moved = jax.tree.map(lambda p, g: p + 0.5 * g, start, jax.grad(loss)(start))
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, start, jax.grad(loss)(moved))
    model, logs = make(Perturbed).train_on_batch(X, Y)
    np.testing.assert_allclose(model.module.weight, expected.weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logs["loss"], loss(start), rtol=1e-5)


class OfStates(tg.Model):
    """Uses `self` all along, never the states that it is given."""

    def pred_step(self, x, states):
        return jax.vmap(self.module)(x), states

    def test_step(self, x, y_true, states):
        y_pred, _ = self.pred_step(x, states)
        loss = jnp.mean((y_true - y_pred) ** 2) + 0.01 * jnp.sum(self.parameters.weight**2)
        return loss, {"step": self.states.step.astype(jnp.float32)}, states


def test_self_is_that_of_the_states_a_step_is_given():
    model, other = make(OfStates), make(module=linear(seed=5)).states
    y_pred, _ = model.pred_step(jnp.asarray(X), other)
    np.testing.assert_allclose(y_pred, predicted(linear(seed=5), X), rtol=1e-5, atol=1e-6)
    loss, logs, _ = model.test_step(jnp.asarray(X), jnp.asarray(Y), states=other.update(step=jnp.int32(7)))
    expected = np.mean((predicted(linear(seed=5), X) - Y) ** 2) + 0.01 * np.sum(np.asarray(linear(seed=5).weight) ** 2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert logs["step"] == 7


def test_self_is_differentiated_and_counts_on_while_training():
    def loss(module: Any) -> Any:
        return jnp.mean((jax.vmap(module)(X) - Y) ** 2) + 0.01 * jnp.sum(module.weight**2)

    model, history = make(OfStates).fit(X, Y, epochs=3, batch_size=10, shuffle=False)
    assert history.history["step"] == [0, 1, 2]
    expected = linear()
    for _ in range(3):
        expected = jax.tree.map(lambda p, g: p - 0.1 * g, expected, jax.grad(loss)(expected))
    np.testing.assert_allclose(model.module.weight, expected.weight, rtol=1e-4, atol=1e-6)


# How steps are compiled


JITTED: list[Any] = []


class Jitting(tg.Model):
    def jit_step(self, step):
        JITTED.append(step)
        return eqx.filter_jit(step)


def test_jit_step_compiles_whatever_runs():
    JITTED.clear()
    model, plain = make(Jitting), make()
    model, history = model.fit(X, Y, epochs=2, batch_size=4)
    plain, expected = plain.fit(X, Y, epochs=2, batch_size=4)
    assert history.history == {name: pytest.approx(v, rel=1e-5) for name, v in expected.history.items()}
    assert model.evaluate(X, Y) == pytest.approx(plain.evaluate(X, Y), rel=1e-5)
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-5, atol=1e-6)
    assert len(JITTED) == 3
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.predict_on_batch(X)
    # Functions of modules, the same each time, so that what was compiled for them is found again.
    names = [step.__name__ for step in JITTED]
    assert len(set(names)) == len(names) == 6
    assert all("<locals>" not in step.__qualname__ for step in JITTED)


class Concrete(tg.Model):
    def test_step(self, **kwargs):
        loss, logs, states = super().test_step(**kwargs)
        SEEN.append(isinstance(kwargs["x"], Tracer))
        return loss, logs, states

    def train_step(self, *, x, **kwargs):
        SEEN.append(float(x[0, 0]))
        return super().train_step(x=x, **kwargs)


def test_run_eagerly_gives_values_to_steps():
    model = make(Concrete, run_eagerly=True)
    model, history = model.fit(X, Y, epochs=2, batch_size=4, shuffle=False)
    assert not any(seen is True for seen in SEEN)
    # While initializing, then three batches in two epochs.
    assert [seen for seen in SEEN if seen is not False] == [X[0, 0]] + 2 * [X[0, 0], X[4, 0], X[8, 0]]
    compiled, expected = make().fit(X, Y, epochs=2, batch_size=4, shuffle=False)
    assert history.history == {name: pytest.approx(v, rel=1e-5) for name, v in expected.history.items()}
    np.testing.assert_allclose(model.module.weight, compiled.module.weight, rtol=1e-5, atol=1e-6)
    assert model.evaluate(X, Y, batch_size=4) == pytest.approx(compiled.evaluate(X, Y, batch_size=4), rel=1e-5)
    np.testing.assert_allclose(model.predict(X, batch_size=4), compiled.predict(X), rtol=1e-5, atol=1e-6)
