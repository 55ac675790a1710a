"""What Elegy 0.7's guides say, statement by statement; `docs/from-elegy.md` has the list.

The marker `statements` holds the numbers of the statements that a test shows.
"""

import re
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import MSE, ROOT, linear, numbers, predicted

pytestmark = pytest.mark.once


def eager(module: Any = None, **fields: Any) -> tg.Model[Any]:
    """A model that isn't compiled, which takes longer than what it is to do here."""
    return tg.Model(module, run_eagerly=True, **fields)


X, Y = numbers(10, 3), numbers(10, 2, seed=1)
LABELS = np.array([0, 1, 2, 2, 1, 0, 0, 1, 2, 1], np.int32)


class MAE(tg.Metric):
    def call(self, y_true, y_pred):
        return jnp.mean(jnp.abs(y_true - y_pred), axis=-1)


SEEN: list[Any] = []
"""What steps, losses, metrics and modules of these tests write down."""


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


class Recorded(tg.Model):
    """Writes down which of its steps run."""

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

    def call_init_step(self, **kwargs):
        SEEN.append("call_init_step")
        return super().call_init_step(**kwargs)

    def init_step(self, **kwargs):
        SEEN.append("init_step")
        return super().init_step(**kwargs)

    def call_summary_step(self, **kwargs):
        SEEN.append("call_summary_step")
        return super().call_summary_step(**kwargs)

    def summary_step(self, **kwargs):
        SEEN.append("summary_step")
        return super().summary_step(**kwargs)

    def states_step(self):
        SEEN.append("states_step")
        return super().states_step()

    def jit_step(self, step):
        SEEN.append("jit_step")
        return super().jit_step(step)


def recorded(**fields: Any) -> Recorded:
    return Recorded(linear(), loss=MSE(), optimizer=optax.sgd(0.1), run_eagerly=True, **fields)


# Low-level API


class LeastSquares(tg.Model):
    """Trains without a gradient, an optimizer or a loss: it solves for the weights of a linear layer."""

    def train_step(self, x, y_true, states):
        extended = jnp.concatenate([x, jnp.ones((len(x), 1))], axis=1)
        solution = jnp.linalg.lstsq(extended, y_true)[0].T
        module = eqx.tree_at(lambda m: (m.weight, m.bias), self.module, (solution[:, :-1], solution[:, -1]))
        y_pred = extended @ solution.T
        net_params, _ = eqx.partition(module, eqx.is_inexact_array)
        return {"error": jnp.mean((y_true - y_pred) ** 2)}, states.update(net_params=net_params)


class ReturnsNothing(tg.Model):
    def train_step(self, x) -> Any:
        del x


@pytest.mark.statements(1, 2)
def test_overriding_a_step_changes_what_happens():
    y = predicted(linear(), X) * 2 + 1
    model, history = LeastSquares(linear()).fit(X, y, batch_size=10)
    assert history.history["error"][0] < 1e-9
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-4, atol=1e-4)
    with pytest.raises(TypeError, match=r"`train_step` .*must return `\(logs, states\)`, and returned None"):
        ReturnsNothing(linear()).fit(X, y)


@pytest.mark.statements(3)
def test_predict_calls_pred_step():
    model = recorded().init(X)
    SEEN.clear()
    model.predict(X)
    assert SEEN == ["call_pred_step", "pred_step"]


@pytest.mark.statements(4)
def test_evaluate_calls_test_step():
    model = recorded().init(X)
    SEEN.clear()
    model.evaluate(X, Y)
    assert SEEN == ["call_test_step", "test_step", "pred_step"]


@pytest.mark.statements(5)
def test_fit_calls_train_step():
    model = recorded().init(X)
    SEEN.clear()
    model.fit(X, Y, batch_size=10)
    assert SEEN == ["call_train_step", "train_step", "grad_step", "test_step", "pred_step"]


@pytest.mark.statements(6)
def test_init_calls_init_step():
    model = recorded().init(X)
    steps = [name for name in SEEN if name != "states_step"]
    assert steps == ["call_init_step", "init_step", "train_step", "test_step", "pred_step"]
    assert model.initialized
    SEEN.clear()
    model.init(X)
    assert SEEN == []


@pytest.mark.statements(7)
def test_summary_calls_summary_step():
    recorded().summary(X)
    assert "call_summary_step" in SEEN
    assert "summary_step" in SEEN[SEEN.index("call_summary_step") :]


class Doubled(tg.Model):
    """Steps twice as far."""

    def grad_step(self, **kwargs):
        loss, logs, states, grads = super().grad_step(**kwargs)
        return loss, logs, states, jax.tree.map(lambda g: 2 * g, grads)


@pytest.mark.statements(8)
def test_grad_step_can_be_overridden():
    twice, _ = Doubled(linear(), loss=MSE(), optimizer=optax.sgd(0.1)).train_on_batch(X, Y)
    once, _ = tg.Model(linear(), loss=MSE(), optimizer=optax.sgd(0.1)).train_on_batch(X, Y)
    start = linear().weight
    np.testing.assert_allclose(twice.module.weight - start, 2 * (once.module.weight - start), rtol=1e-5, atol=1e-7)


class Counted(tg.Model):
    """Has a field of its own in the states, and counts with it."""

    def states_step(self):
        return super().states_step().update(seen=0)

    def test_step(self, x, states, initializing):
        loss, logs, states = super().test_step(x=x, y_true=x, states=states)
        return loss, logs, states if initializing else states.update(seen=states.seen + len(x))


@pytest.mark.statements(9)
def test_states_step_can_be_overridden():
    model = Counted(linear(3, 3), loss=MSE(), optimizer=optax.sgd(0.1))
    assert model.states.seen == 0
    model, _ = model.fit(X, epochs=2, batch_size=4)
    assert int(model.states.seen) == 20


class Uncompiled(tg.Model):
    def jit_step(self, step):
        SEEN.append(step)
        return step


@pytest.mark.statements(10)
def test_jit_step_can_be_overridden():
    model = Uncompiled(linear(), loss=MSE(), optimizer=optax.sgd(0.1))
    compiled, logs = tg.Model(linear(), loss=MSE(), optimizer=optax.sgd(0.1)).train_on_batch(X, Y)
    model, same = model.train_on_batch(X, Y)
    assert len(SEEN) == 1 and callable(SEEN[0])
    np.testing.assert_allclose(same["loss"], logs["loss"], rtol=1e-6)
    np.testing.assert_allclose(model.module.weight, compiled.module.weight, rtol=1e-5)


@pytest.mark.statements(11)
def test_defaults_are_the_high_level_api():
    model = tg.Model(linear(), loss=MSE(), metrics=MAE(), optimizer=optax.sgd(0.1))
    model, history = model.fit(X, Y, epochs=10, batch_size=4)
    assert history.history["loss"][-1] < history.history["loss"][0]
    logs = model.evaluate(X, Y)
    y_pred = np.asarray(model.predict(X))
    np.testing.assert_allclose(y_pred, predicted(model.module, X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logs["mae"], np.abs(Y - y_pred).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], ((Y - y_pred) ** 2).mean(), rtol=1e-5)


@pytest.mark.statements(12)
def test_steps_are_functions_of_inputs_and_states():
    model = tg.Model(linear(), loss=MSE(), optimizer=optax.sgd(0.1)).init(X, Y)
    x, y, states = jnp.asarray(X), jnp.asarray(Y), model.states
    before = jax.tree.map(lambda leaf: leaf, states)
    logs, after = model.train_step(x, y, states=states, training=True)
    again, same = model.train_step(x, y, states=states, training=True)
    assert eqx.tree_equal((logs, after), (again, same))
    assert eqx.tree_equal(states, before) and not eqx.tree_equal(after, before)
    jitted, _ = eqx.filter_jit(lambda model, x, y, states: model.train_step(x, y, states=states))(model, x, y, states)
    np.testing.assert_allclose(float(jitted["loss"]), float(logs["loss"]), rtol=1e-6)


class LinearClassifier(tg.Model):
    def test_step(self, x, y_true, states, initializing):
        SEEN.append(initializing)
        if initializing:
            w = jax.random.uniform(jax.random.key(42), (np.prod(x.shape[1:]), 3))
            b = jax.random.uniform(jax.random.key(69), (1,))
        else:
            w, b = states.net_params
        logits = jnp.dot(x, w) + b
        labels = jax.nn.one_hot(y_true, 3)
        loss = jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))
        logs = dict(accuracy=jnp.mean(jnp.argmax(logits, axis=-1) == y_true), loss=loss)
        return loss, logs, states.update(net_params=(w, b))


def classifier_figures(params: Any, x: Any, labels: Any) -> dict[str, float]:
    w, b = (np.asarray(p, np.float64) for p in params)
    logits = x @ w + b
    log_softmax = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    accuracy = np.mean(logits.argmax(axis=-1) == labels)
    return {"accuracy": accuracy, "loss": -log_softmax[np.arange(len(labels)), labels].mean()}


@pytest.mark.statements(13, 14, 15, 23)
@pytest.mark.standard_promotion
def test_one_step_and_an_optimizer_can_be_trained():
    model = LinearClassifier(optimizer=optax.adam(1e-1))
    model, history = model.fit(x=X, y=LABELS, epochs=30, batch_size=4)
    assert len(history.history["loss"]) == 30
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    assert model.evaluate(X, LABELS)["accuracy"] > 0.6


@pytest.mark.statements(16)
@pytest.mark.standard_promotion
def test_initializing_says_when_to_create_parameters():
    model = LinearClassifier(optimizer=optax.sgd(0.1))
    model = model.init(X, LABELS)
    assert SEEN[0] is True  # and then False, where `init` looks at which logs there will be
    SEEN.clear()
    model, _ = model.fit(X, LABELS, batch_size=4)
    model.evaluate(X, LABELS)
    assert SEEN and not any(SEEN)


@pytest.mark.statements(17, 18)
@pytest.mark.standard_promotion
@pytest.mark.parametrize("features", [2, 5])
def test_parameters_are_created_from_the_shape_of_the_input(features):
    model = LinearClassifier().init(numbers(10, features), LABELS)
    w, b = model.states.net_params
    assert (w.shape, b.shape) == ((features, 3), (1,))
    assert isinstance(model.parameters, tuple)
    assert not hasattr(model.states, "module_params")


@pytest.mark.statements(19, 20, 22)
@pytest.mark.standard_promotion
def test_the_example_logs_its_loss_and_accuracy():
    model: Any = LinearClassifier().init(X, LABELS)
    loss, logs, _ = model.test_step(jnp.asarray(X), jnp.asarray(LABELS), states=model.states)
    expected = classifier_figures(model.parameters, X, LABELS)
    assert type(logs) is dict and logs["loss"] is loss
    np.testing.assert_allclose([logs["accuracy"], loss], list(expected.values()), rtol=1e-5)
    # Elegy showed the last batch; here it is all examples, the last two of which are a batch of their own.
    assert model.evaluate(X, LABELS, batch_size=4) == pytest.approx(expected, rel=1e-5)


@pytest.mark.statements(21, 24, 25)
def test_states_are_an_immutable_mapping_with_update():
    states = tg.States(net_params=(1.0, 2.0))
    new = states.update(net_params=(3.0, 4.0), counter=0)
    assert states.net_params == (1.0, 2.0) and "counter" not in states
    assert isinstance(new, Mapping) and dict(new) == {"counter": 0, "net_params": (3.0, 4.0)}
    w, b = new.net_params
    assert (w, b) == new["net_params"] == (3.0, 4.0)
    with pytest.raises(AttributeError):
        new.net_params = (5.0, 6.0)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        new["net_params"] = (5.0, 6.0)  # pyright: ignore[reportIndexIssue]


@pytest.mark.statements(26)
def test_fields_of_the_default_states():
    states = tg.Model(linear(), optimizer=optax.sgd(0.1, momentum=0.9)).init(X).states
    fields = {"rng", "step", "net_params", "net_states", "state", "metrics_states", "optimizer_states"}
    assert set(states) == fields
    assert isinstance(states.net_params, eqx.nn.Linear) and states.net_params.weight.shape == (2, 3)
    assert jax.tree.leaves(states.net_states) == []
    assert states.step == 0 and jax.tree.leaves(states.optimizer_states)
    with pytest.raises(AttributeError, match="no field `params`; there are: metrics_states, net_params"):
        _ = states.params


class ReturnsWrong(tg.Model):
    returned: Any = eqx.field(kw_only=True, static=True)
    step: str = eqx.field(kw_only=True, static=True)

    def pred_step(self, **kwargs):
        return self.returned if self.step == "pred_step" else super().pred_step(**kwargs)

    def test_step(self, **kwargs):
        return self.returned if self.step == "test_step" else super().test_step(**kwargs)

    def grad_step(self, **kwargs):
        return self.returned if self.step == "grad_step" else super().grad_step(**kwargs)

    def train_step(self, **kwargs):
        return self.returned if self.step == "train_step" else super().train_step(**kwargs)

    def init_step(self, **kwargs):
        return self.returned if self.step == "init_step" else super().init_step(**kwargs)


@pytest.mark.statements(27)
@pytest.mark.parametrize(
    "step, returned, contract",
    [
        ("pred_step", 1.0, r"must return `\(y_pred, states\)`, and returned 1.0"),
        ("test_step", (1.0, ()), r"must return `\(loss, logs, states\)`, and returned \(1.0, \(\)\)"),
        ("test_step", (1.0, (), ()), r"must return `\(loss, logs, states\)`; its `logs` is \(\), not a dict"),
        ("grad_step", 1.0, r"must return `\(loss, logs, states, grads\)`"),
        ("train_step", 1.0, r"must return `\(logs, states\)`"),
        ("init_step", 1.0, r"must return `states`; its `states` is 1.0, not `tg.States`"),
    ],
)
def test_what_a_step_returns_is_checked(step, returned, contract):
    model = ReturnsWrong(linear(), loss=MSE(), optimizer=optax.sgd(0.1), step=step, returned=returned)
    with pytest.raises(TypeError, match=f"step `{step}`.*{contract}"):
        model.fit(X, Y)


# `test_step`


class Constant(tg.Model):
    def test_step(self, x, states):
        return jnp.float32(7), {"loss": 7.0, "largest": jnp.max(x)}, states


@pytest.mark.statements(28, 37, 38)
def test_overriding_test_step_decides_what_evaluate_gives():
    model = Constant(linear(), loss=MSE(), metrics=MAE())
    assert model.evaluate(X, Y, batch_size=10) == {"loss": 7.0, "largest": pytest.approx(X.max())}


class Asking(tg.Model):
    """Writes down what its `test_step` is given."""

    def test_step(self, training, initializing, states, class_weight, sample_weight, y_true, x):
        SEEN.append({n: v for n, v in locals().items() if n not in ("self", "__class__")})
        if initializing:
            states = states.update(net_params=jnp.ones(3))
        loss = jnp.mean(x @ states.net_params)
        return loss, {}, states


@pytest.mark.statements(29, 30, 31, 32, 33, 34, 35, 36)
def test_test_step_gets_what_it_names():
    model = Asking(optimizer=optax.sgd(0.1), run_eagerly=True)
    weight = np.arange(10, dtype=np.float32)
    model, _ = model.fit(
        X, LABELS, batch_size=10, shuffle=False, sample_weight=weight, class_weight={0: 1.0, 1: 2, 2: 4}
    )
    first, last = SEEN[0], SEEN[-1]
    assert (first["initializing"], first["training"]) == (True, True)
    assert (last["initializing"], last["training"]) == (False, True)
    for seen in (first, last):
        np.testing.assert_array_equal(seen["x"], X)
        np.testing.assert_array_equal(seen["y_true"], LABELS)
        np.testing.assert_array_equal(seen["sample_weight"], weight)
        np.testing.assert_array_equal(seen["class_weight"], [1, 2, 4])
        assert isinstance(seen["states"], tg.States)

    model.evaluate(X)
    last = SEEN[-1]
    assert (last["initializing"], last["training"]) == (False, False)
    assert last["y_true"] is last["sample_weight"] is last["class_weight"] is None


class AsksTooMuch(tg.Model):
    def test_step(self, x, y, states):
        return jnp.mean(x - y), {}, states


@pytest.mark.statements(36)
def test_names_that_a_step_can_not_ask_for():
    with pytest.raises(tg.InjectionError, match=r"step `test_step` \(AsksTooMuch.test_step\) asks for `y`, which"):
        AsksTooMuch(linear()).evaluate(X, Y)


@pytest.mark.statements(39)
def test_states_that_a_step_returns_are_the_next_ones():
    model = Counted(linear(3, 3), loss=MSE()).init(X)
    model, _ = model.test_on_batch(X)
    model, _ = model.test_on_batch(X[:4])
    assert int(model.states.seen) == 14


@pytest.mark.statements(40, 41, 42)
def test_who_calls_test_step():
    model: Any = recorded().init(X, Y)
    SEEN.clear()
    x, y, states = jnp.asarray(X), jnp.asarray(Y), model.states
    model.call_test_step(x, y, states=states)
    assert SEEN == ["call_test_step", "test_step", "pred_step"]
    SEEN.clear()
    model.grad_step(x, y, states=states)
    assert SEEN == ["grad_step", "test_step", "pred_step"]
    SEEN.clear()
    model.train_step(x, y, states=states, initializing=True)
    assert SEEN == ["train_step", "test_step", "pred_step"]
    SEEN.clear()
    model.train_step(x, y, states=states, initializing=False)
    assert SEEN == ["train_step", "grad_step", "test_step", "pred_step"]


@pytest.mark.statements(43)
@pytest.mark.standard_promotion
def test_test_step_alone_has_no_predict():
    model, _ = LinearClassifier(optimizer=optax.sgd(0.1)).fit(X, LABELS)
    with pytest.raises(tg.MissingModule, match="`LinearClassifier` has no module to predict with: .*`pred_step`"):
        model.predict(X)


class Split(tg.Model):
    """The forward pass in `pred_step`, which `test_step` calls by position."""

    def pred_step(self, x, states, initializing):
        w = jnp.ones((x.shape[1], 2)) if initializing else states.net_params
        return x @ w, states.update(net_params=w)

    def test_step(self, x, y_true, states, initializing):
        y_pred, states = self.pred_step(x, states, initializing)
        loss = jnp.mean((y_true - y_pred) ** 2)
        return loss, {"loss": loss}, states


@pytest.mark.statements(44, 45)
def test_with_pred_step_everything_works():
    model, history = Split(optimizer=optax.sgd(0.1)).fit(X, Y, epochs=5, batch_size=4)
    assert history.history["loss"][-1] < history.history["loss"][0]
    y_pred = np.asarray(model.predict(X))
    np.testing.assert_allclose(y_pred, X @ np.asarray(model.parameters), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.evaluate(X, Y)["loss"], np.mean((Y - y_pred) ** 2), rtol=1e-5)


class Generative(tg.Model):
    """Trains an encoder and a decoder, and predicts with the decoder."""

    def pred_step(self, x, states):
        return jax.vmap(self.module["decoder"])(x), states

    def test_step(self, x, states):
        code = jax.vmap(self.module["encoder"])(x)
        loss = jnp.mean((x - jax.vmap(self.module["decoder"])(code)) ** 2)
        return loss, {"loss": loss}, states


@pytest.mark.statements(46)
def test_test_step_may_compute_something_else_than_pred_step():
    module = {"encoder": linear(3, 1), "decoder": linear(1, 3)}
    model, history = Generative(module, optimizer=optax.sgd(0.1)).fit(X, epochs=10, batch_size=4)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert not np.allclose(model.module["encoder"].weight, module["encoder"].weight)
    code = numbers(4, 1)
    np.testing.assert_allclose(model.predict(code), predicted(model.module["decoder"], code), rtol=1e-5, atol=1e-6)


class Shifted(tg.Model):
    def pred_step(self, x, states):
        y_pred, states = super().pred_step(x, states)
        return y_pred + 1, states


@pytest.mark.statements(47)
def test_the_default_test_step_calls_pred_step():
    logs = Shifted(linear(), loss=MSE()).evaluate(X, Y)
    np.testing.assert_allclose(logs["loss"], np.mean((Y - predicted(linear(), X) - 1) ** 2), rtol=1e-5)


@pytest.mark.statements(49, 50, 51)
def test_the_default_test_step_evaluates_losses_and_metrics():
    model = tg.Model(linear(), loss=[MSE(weight=3.0), tg.losses.MeanAbsoluteError()], metrics=MAE())
    logs = model.evaluate(X, Y, batch_size=4)  # batches of 4, 4 and 2
    error = Y - predicted(linear(), X)
    assert list(logs) == ["loss", "mse_loss", "mean_absolute_error_loss", "mae"]
    squared, absolute = np.mean(error**2), np.mean(np.abs(error))
    np.testing.assert_allclose(logs["mse_loss"], 3 * squared, rtol=1e-5)
    np.testing.assert_allclose(logs["mean_absolute_error_loss"], absolute, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], 3 * squared + absolute, rtol=1e-5)
    np.testing.assert_allclose(logs["mae"], absolute, rtol=1e-5)


# Dependency injection and modules


class Two(eqx.Module):
    a: eqx.nn.Linear
    b: eqx.nn.Linear

    def __init__(self):
        self.a, self.b = linear(3, 2), eqx.nn.Linear(3, 1, key=jax.random.key(1))

    def __call__(self, x):
        return {"a": self.a(x), "b": (self.b(x),)}


@pytest.mark.statements(52, 53, 54, 56)
def test_losses_and_metrics_of_several_outputs_and_labels():
    def combined(y_true, y_pred):
        return jnp.mean((y_pred["a"] * y_pred["b"][0] - y_true["sum"] + y_true["of"]) ** 2, axis=-1)

    def difference(y_pred):
        return jnp.abs(y_pred["a"][:, 0] - y_pred["b"][0][:, 0])

    model = eager(Two(), loss=combined, metrics=difference)
    y = {"sum": Y, "of": 2 * Y}
    logs = model.evaluate(X, y, batch_size=4)
    a, b = predicted(Two().a, X), predicted(Two().b, X)
    np.testing.assert_allclose(logs["combined_loss"], np.mean((a * b + Y) ** 2), rtol=1e-5)
    np.testing.assert_allclose(logs["difference"], np.mean(np.abs(a[:, 0] - b[:, 0])), rtol=1e-5)


@pytest.mark.statements(55)
def test_losses_and_metrics_of_inputs_parameters_and_states():
    def smooth(x, parameters, states):
        assert parameters is states.net_params
        return jnp.sum(jnp.abs(x), axis=-1) * jnp.sum(parameters.weight**2)

    def steps(states):
        return states.step

    model = eager(linear(), loss=[MSE(), smooth], metrics=steps, optimizer=optax.sgd(1e-3))
    model, _ = model.fit(X, Y, batch_size=4)
    logs = model.evaluate(X, Y)
    expected = np.abs(X).sum(axis=-1).mean() * np.sum(np.asarray(model.module.weight) ** 2)
    np.testing.assert_allclose(logs["smooth_loss"], expected, rtol=1e-5)
    assert logs["steps"] == 3


def asking_for_all(name: str, result: Any) -> Any:
    def ask(x, y_true, y_pred, sample_weight, class_weight, training, parameters, states):
        SEEN.append({"name": name, **{k: v for k, v in locals().items() if k not in ("name", "result")}})
        return result(y_true, y_pred)

    ask.__name__ = name
    return ask


@pytest.mark.statements(57, 58, 59, 60, 61, 62, 64, 65, 73)
def test_what_losses_and_metrics_can_ask_for():
    def error(y_true, y_pred):
        return jnp.abs(y_true.astype(y_pred.dtype) - y_pred[:, 0])

    model = eager(
        linear(),
        loss=asking_for_all("some", error),
        metrics=asking_for_all("other", error),
        trainable=eqx.tree_at(lambda m: m.bias, jax.tree.map(eqx.is_inexact_array, linear()), False),
    )
    weight = np.linspace(0, 1, 10, dtype=np.float32)
    model.evaluate(X, LABELS, batch_size=10, sample_weight=weight, class_weight={0: 1, 1: 2, 2: 4})
    assert [seen["name"] for seen in SEEN] == ["some", "other"]
    # All that the values of a loss are multiplied with, the weights of their classes included.
    np.testing.assert_allclose(SEEN[0]["sample_weight"], weight * np.array([1, 2, 4])[LABELS], rtol=1e-6)
    np.testing.assert_array_equal(SEEN[1]["sample_weight"], weight)
    for seen in SEEN:
        np.testing.assert_array_equal(seen["x"], X)
        np.testing.assert_array_equal(seen["y_true"], LABELS)
        np.testing.assert_allclose(seen["y_pred"], predicted(linear(), X), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(seen["class_weight"], [1, 2, 4])
        assert seen["training"] is False
        # What is learned, and what isn't.
        assert seen["parameters"].weight.shape == (2, 3) and seen["parameters"].bias is None
        assert seen["states"].net_states.weight is None and seen["states"].net_states.bias.shape == (2,)


@pytest.mark.statements(57)
def test_an_unknown_name_is_an_error():
    def loss(y_true, y_predicted):
        return y_true - y_predicted

    with pytest.raises(tg.InjectionError, match=r"(?s)asks for `y_predicted`.*y_pred = f32\[10,2\].*mean `y_pred`\?"):
        eager(linear(), loss=loss).evaluate(X, Y)


@pytest.mark.statements(61, 62)
def test_weights_count_whether_they_are_named_or_not():
    weight = np.linspace(0, 1, 10, dtype=np.float32)
    by_class = np.array([1, 2, 4], np.float32)
    model = eager(
        linear(3, 3),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        metrics=tg.metrics.SparseCategoricalAccuracy(),
    )
    logs = model.evaluate(X, LABELS, batch_size=4, sample_weight=weight, class_weight=dict(enumerate(by_class)))
    logits = predicted(linear(3, 3), X).astype(np.float64)
    values = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(10), LABELS]
    np.testing.assert_allclose(logs["loss"], np.sum(weight * by_class[LABELS] * values), rtol=1e-5)
    correct = logits.argmax(axis=-1) == LABELS
    np.testing.assert_allclose(logs["sparse_categorical_accuracy"], np.sum(weight * correct) / weight.sum(), rtol=1e-5)


class Twice(eqx.Module):
    """Predicts twice as much while training."""

    scale: Any

    def __call__(self, x, training):
        return self.scale * x * (2 if training else 1)


@pytest.mark.statements(63)
def test_training_for_modules_losses_and_metrics():
    def signed(y_pred, training):
        return jnp.mean(y_pred, axis=-1) * (1 if training else -1)

    model = eager(Twice(jnp.float32(1)), loss=signed, metrics=signed, optimizer=optax.sgd(0.0))
    _, history = model.fit(np.ones((6, 2), np.float32), batch_size=6)
    assert (history.history["signed_loss"], history.history["signed"]) == ([2], [2])
    logs = model.evaluate(np.ones((6, 2), np.float32))
    assert (logs["signed_loss"], logs["signed"]) == (-1, -1)


class Minus(eqx.Module):
    def __call__(self, y, x):
        return y - x


@pytest.mark.statements(66)
def test_the_name_x_means_nothing_to_a_module():
    a, b = numbers(4, 2), numbers(4, 2, seed=1)
    np.testing.assert_array_equal(eager(Minus()).predict((a, b)), a - b)
    np.testing.assert_array_equal(eager(Minus()).predict({"x": a, "y": b}), b - a)


@pytest.mark.statements(67)
def test_modules_turn_x_into_y_pred():
    np.testing.assert_allclose(eager(linear()).predict(X), predicted(linear(), X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(eager(lambda a: a[0]).predict(X), X[:, 0])
    np.testing.assert_array_equal(eager(lambda a: a[::-1], batched=True).predict(X), X[::-1])


class One(eqx.Module):
    def __call__(self, m):
        return m


@pytest.mark.statements(68)
def test_an_array_is_the_one_argument():
    np.testing.assert_array_equal(eager(One()).predict(X), X)
    y_pred = eager(One()).predict([X, Y])
    assert isinstance(y_pred, list)
    np.testing.assert_array_equal(y_pred[1], Y)


@pytest.mark.statements(69)
def test_a_tuple_is_positional_arguments():
    np.testing.assert_array_equal(eager(lambda m, n: m[:2] + n).predict((X, Y)), X[:, :2] + Y)
    with pytest.raises(tg.InjectionError, match="takes 2 inputs, and `x` is a tuple of 3"):
        eager(Minus()).predict((X, X, X))
    with pytest.raises(tg.InjectionError, match="takes 2 inputs, and `x` is a tuple of 1"):
        eager(Minus()).predict((X,))


@pytest.mark.statements(70, 71, 72)
def test_a_dict_is_keyword_arguments():
    x = {"m": X, "n": Y, "o": -Y}
    np.testing.assert_array_equal(eager(lambda o, n: n - o).predict(x), 2 * Y)
    assert set(eager(lambda **inputs: inputs).predict(x)) == {"m", "n", "o"}
    with pytest.raises(tg.InjectionError, match="(?s)asks for `p`.*keys go to .*'m', 'n', 'o'"):
        eager(lambda m, p: m).predict(x)


# Losses


@pytest.mark.statements(74, 75)
def test_a_loss_returns_a_value_per_example():
    y_true, y_pred = jnp.asarray(Y), jnp.zeros((10, 2))
    np.testing.assert_allclose(MSE().call(y_true, y_pred), np.mean(Y**2, axis=-1), rtol=1e-6)
    np.testing.assert_allclose(MSE()(y_true, y_pred), np.mean(Y**2), rtol=1e-6)
    logs = eager(linear(), loss=MSE()).evaluate(x=X, y=Y)
    np.testing.assert_allclose(logs["loss"], np.mean((Y - predicted(linear(), X)) ** 2), rtol=1e-5)


class AutoEncoderLoss(tg.Loss):
    def call(self, x, y_pred):
        return jnp.mean((x - y_pred) ** 2, axis=-1)


@pytest.mark.statements(76, 77)
def test_a_loss_without_labels():
    optimizer = optax.sgd(0.1)
    _, history = eager(linear(3, 3), loss=AutoEncoderLoss(), optimizer=optimizer).fit(X, epochs=3, batch_size=4)
    assert history.history["loss"][-1] < history.history["loss"][0]
    _, same = eager(linear(3, 3), loss=MSE(), optimizer=optimizer).fit(X, y=X, epochs=3, batch_size=4)
    np.testing.assert_allclose(same.history["loss"], history.history["loss"], rtol=1e-6)
    with pytest.raises(tg.InjectionError, match="There is no `y_true`: no `y` was given"):
        eager(linear(3, 3), loss=MSE()).evaluate(X)


class SomeComplexFunction(tg.Loss):
    def call(self, y_true, y_pred):
        error = jnp.abs(y_true - y_pred)
        return {"a": error[:, 0], "b": error[:, 1] ** 2, "c": error}


@pytest.mark.statements(78, 79, 80, 81, 82)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "weighted_mean", "sum"])
def test_parts_of_a_loss(reduction):
    weight = np.linspace(0, 1, 10, dtype=np.float32)
    model = eager(linear(), loss=SomeComplexFunction(reduction=reduction), optimizer=optax.sgd(0.0))
    error = np.abs(Y - predicted(linear(), X))
    expected = {}
    for part, values in {"a": error[:, :1], "b": error[:, 1:] ** 2, "c": error}.items():
        weights = np.broadcast_to(weight[:, None], values.shape)
        divisor = {"sum_over_batch_size": values.size, "weighted_mean": weights.sum(), "sum": 1}[reduction]
        expected[f"some_complex_function_loss/{part}"] = np.sum(weights * values) / divisor
    expected = {"loss": sum(expected.values()), **expected}
    logs = model.evaluate(X, Y, sample_weight=weight, batch_size=4)
    assert list(logs) == list(expected)
    assert logs == pytest.approx(expected, rel=1e-5)
    _, history = model.fit(X, Y, sample_weight=weight, batch_size=4)
    assert {name: v for name, (v,) in history.history.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.statements(83, 84, 85, 86, 87)
@pytest.mark.parametrize(
    "loss, names",
    [
        (MSE(), ["mse_loss"]),
        ([MSE(), MSE()], ["mse_loss", "mse_loss_1"]),
        ({"a": MSE(), "b": MSE()}, ["a/mse_loss", "b/mse_loss"]),
        ({"a": [MSE(), {"c": MSE()}], "b": [MSE()]}, ["a/mse_loss", "a/c/mse_loss", "b/mse_loss"]),
    ],
)
def test_loss_takes_any_nest(loss, names):
    def first(y_true, y_pred):
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    logs = eager(linear(), loss=loss, metrics={"m": [first, first]}).evaluate(X, Y)
    assert list(logs) == ["loss", *names, "m/first", "m/first_1"]
    squared = np.mean((Y - predicted(linear(), X)) ** 2)
    np.testing.assert_allclose([logs[name] for name in names], squared, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], len(names) * squared, rtol=1e-5)


@pytest.mark.statements(88, 89, 91)
def test_losses_see_whole_structures():
    def indexing(y_true, y_pred):
        SEEN.append((jax.tree.structure(y_true), jax.tree.structure(y_pred)))
        return jnp.mean((y_true[0]["label_a"] - y_pred["a"] + y_pred["b"][0] * y_true[1]) ** 2, axis=-1)

    y = ({"label_a": Y}, np.ones_like(Y))
    logs = eager(Two(), loss=indexing).evaluate(X, y)
    expected = np.mean((Y - predicted(Two().a, X) + predicted(Two().b, X)) ** 2)
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
    assert SEEN[0] == (jax.tree.structure(y), jax.tree.structure({"a": 0, "b": (0,)}))


@pytest.mark.statements(90)
@pytest.mark.parametrize("from_logits", [True, False])
def test_one_output_and_one_label_are_as_in_keras(from_logits):
    loss = tg.losses.CategoricalCrossentropy(from_logits=from_logits)
    model = eager(lambda x: x if from_logits else jax.nn.softmax(x), loss=loss)
    logits = X.astype(np.float64)
    expected = np.mean(np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(10), LABELS])
    logs = model.evaluate(X, np.eye(3, dtype=np.float32)[LABELS])
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


class Outputs(eqx.Module):
    """Outputs `key_a`, probabilities, and `key_b`, numbers; or the same as a tuple."""

    named: bool

    def __call__(self, x):
        a, b = jax.nn.sigmoid(x[:2]), x[2:]
        return {"key_a": a, "key_b": b} if self.named else (a, b)


@pytest.mark.statements(92, 93, 94, 95)
@pytest.mark.parametrize("keys", [("key_a", "key_b"), (0, 1)])
def test_on_picks_an_output_and_its_label(keys):
    a, b = keys
    y: Any = {"key_a": (Y > 0).astype(np.float32), "key_b": Y[:, :1]}
    y = y if a == "key_a" else tuple(y.values())
    module = Outputs(a == "key_a")
    losses = [tg.losses.BinaryCrossentropy(on=a, weight=10.0), tg.losses.MeanSquaredError(on=b, weight=1.0)]
    by_hand = [
        lambda y_true, y_pred: tg.losses.BinaryCrossentropy(weight=10.0)(y_true=y_true[a], y_pred=y_pred[a]),
        lambda y_true, y_pred: tg.losses.MeanSquaredError(weight=1.0)(y_true=y_true[b], y_pred=y_pred[b]),
    ]
    p, t = 1 / (1 + np.exp(-X[:, :2].astype(np.float64))), Y > 0
    crossentropy = -np.mean(np.where(t, np.log(p), np.log(1 - p)))
    squared = np.mean((Y[:, :1] - X[:, 2:]) ** 2)
    logs = eager(module, loss=losses).evaluate(X, y, batch_size=4)
    np.testing.assert_allclose(logs["binary_crossentropy_loss"], 10 * crossentropy, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], 10 * crossentropy + squared, rtol=1e-5)
    logs = eager(module, loss=by_hand).evaluate(X, y, batch_size=4)
    assert list(logs) == ["loss", "lambda_loss", "lambda_loss_1"]
    np.testing.assert_allclose(logs["loss"], 10 * crossentropy + squared, rtol=1e-5)


@pytest.mark.statements(96)
def test_each_loss_has_its_weight():
    with pytest.raises(TypeError, match="loss_weights"):
        tg.Model(linear(), loss=MSE(), loss_weights=[1.0])  # pyright: ignore[reportCallIssue]
    once = eager(linear(), loss=MSE(weight=1.0)).evaluate(X, Y)["loss"]
    assert eager(linear(), loss=MSE(weight=0.25)).evaluate(X, Y)["loss"] == pytest.approx(0.25 * once)


# Metrics, and names


class Errors(tg.Metric):
    def call(self, y_true, y_pred):
        error = jnp.abs(y_true - y_pred)
        return {"mean": jnp.mean(error, axis=-1), "sum": tg.Sum.of(error)}


class Largest(tg.Accumulator):
    """State of a metric that is no mean."""

    value: Any

    def empty(self):
        return Largest(jnp.full_like(self.value, -jnp.inf))

    def merge(self, other):
        return Largest(jnp.maximum(self.value, other.value))

    def compute(self):
        return self.value


class LargestError(tg.Metric):
    def call(self, y_true, y_pred):
        return Largest(jnp.max(jnp.abs(y_true - y_pred)))


@pytest.mark.statements(97)
def test_metrics_are_like_losses_and_may_have_state():
    metrics = {"on": [MAE(on="a", name="error"), Errors(on="a")], "other": LargestError(on="a")}
    logs = eager(Two(), metrics=metrics).evaluate(X, {"a": Y}, batch_size=4)
    error = np.abs(Y - predicted(Two().a, X))
    expected = {
        "on/error": error.mean(),
        "on/errors/mean": error.mean(),
        "on/errors/sum": error.sum(),
        "other/largest_error": error.max(),
    }
    assert list(logs) == list(expected)
    assert logs == pytest.approx(expected, rel=1e-5)


@pytest.mark.statements(98, 99)
def test_metrics_are_cumulative():
    model = tg.Model(linear(), metrics=[MAE(), LargestError()])
    error = np.abs(Y - predicted(linear(), X))
    for n, batch in ((4, slice(0, 4)), (8, slice(4, 8)), (10, slice(8, 10))):
        model, logs = model.test_on_batch(X[batch], Y[batch])
        np.testing.assert_allclose(logs["mae"], error[:n].mean(), rtol=1e-5)
        np.testing.assert_allclose(logs["largest_error"], error[:n].max(), rtol=1e-5)
    _, logs = model.reset_metrics().test_on_batch(X[:4], Y[:4])
    np.testing.assert_allclose(logs["mae"], error[:4].mean(), rtol=1e-5)


class Accuracy(tg.Metric):
    def call(self, y_true, y_pred):
        return y_true == y_pred


@pytest.mark.statements(102)
def test_an_accuracy_that_counts_and_divides():
    model = eager(lambda x: x, metrics=Accuracy())
    y_pred = np.array([0, 1, 1, 2, 1, 0, 2, 2, 2, 2], np.int32)
    assert model.evaluate(y_pred, LABELS, batch_size=4)["accuracy"] == pytest.approx(np.mean(y_pred == LABELS))


@pytest.mark.statements(104)
def test_the_module_comes_first_or_by_name():
    first, by_name = tg.Model(linear(), loss=MSE()), tg.Model(module=linear(), loss=[MSE()])
    assert first.evaluate(X, Y) == by_name.evaluate(X, Y)
    assert by_name.module is not None and isinstance(first.module, eqx.nn.Linear)
    with pytest.raises(TypeError):
        tg.Model(linear(), MSE())  # pyright: ignore[reportCallIssue]


@pytest.mark.statements(105)
def test_names_of_losses_and_metrics():
    assert issubclass(tg.losses.BinaryCrossentropy, tg.Loss)
    assert issubclass(tg.losses.MeanSquaredError, tg.Loss)
    assert issubclass(tg.losses.CategoricalCrossentropy, tg.Loss)
    assert issubclass(tg.metrics.Accuracy, tg.Metric)


# The list itself


def statements_of(test: Any) -> list[int]:
    """The numbers of the statements that a test shows."""
    return [number for mark in getattr(test, "pytestmark", ()) if mark.name == "statements" for number in mark.args]


def test_every_statement_has_a_test_or_a_replacement():
    """The page names the tests of each statement, and the tests have the numbers of these statements: all of them."""
    page = (ROOT / "docs" / "from-elegy.md").read_text()
    rows = re.findall(r"^\| S(\d+) \|.*\| (`\w+`(?:, `\w+`)*|—) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 106))
    named = [(int(number), name) for number, names in rows for name in re.findall(r"`(\w+)`", names)]
    this = test_every_statement_has_a_test_or_a_replacement
    tests = {name: value for name, value in globals().items() if name.startswith("test_") and value is not this}
    shown = [(number, name) for name, test in tests.items() for number in statements_of(test)]
    assert sorted(named) == sorted(shown)
    assert all(statements_of(test) for test in tests.values())
