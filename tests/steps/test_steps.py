"""The steps: who calls which, what they may ask for, log, keep and change; and what holds for all that passes them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.core import Tracer

import treegy as tg
from helpers import MSE, linear, numbers, predicted

X, Y = numbers(10, 3), numbers(10, 2, seed=1)


def squared_error(model: tg.Model[Any]) -> float:
    return float(np.mean((Y - predicted(model.module, X)) ** 2))


def make(cls: Any = tg.Model, module: Any = None, **fields: Any) -> Any:
    """A linear model with a loss and an optimizer, whatever its steps."""
    fields = {"loss": MSE(), "optimizer": optax.sgd(0.1), **fields}
    return cls(linear() if module is None else module, **fields)


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


# Logs


class Logging(tg.Model):
    def test_step(self, x, y_true, states):
        error = jnp.mean((y_true - jax.vmap(self.module)(x)) ** 2, axis=-1)
        loss = jnp.mean(error)
        logs = {
            "loss": loss,
            "largest": jnp.max(error),
            "each": jnp.mean(jnp.abs(y_true), axis=0),
            "size": len(x),
            "even": len(x) % 2 == 0,
            "half": loss.astype(jnp.float16),
            "sum": tg.Sum.of(error),
            "mean": tg.Mean.of(error, x[:, 0] ** 2),
            "nested": {"one": 1, "more": {"two": 2.0}},
        }
        return loss, logs, states


def expected_logs(batches: list[slice]) -> dict[str, Any]:
    error = np.mean((Y - predicted(linear(), X)) ** 2, axis=-1)
    sizes = [len(X[b]) for b in batches]
    return {
        "loss": error.mean(),
        "largest": np.average([error[b].max() for b in batches], weights=sizes),
        "each": np.abs(Y).mean(axis=0),
        "size": np.average(sizes, weights=sizes),
        "even": np.average([n % 2 == 0 for n in sizes], weights=sizes),
        "half": error.mean(),
        "sum": error.sum(),
        "mean": np.average(error, weights=X[:, 0] ** 2),
        "nested/one": 1,
        "nested/more/two": 2,
    }


@pytest.mark.parametrize("size", [3, 10])
def test_logs_are_exact_over_the_examples_of_an_epoch(size):
    expected = expected_logs([slice(i, i + size) for i in range(0, 10, size)])
    model = make(Logging, optimizer=optax.sgd(0.0))
    logs = model.evaluate(X, Y, batch_size=size)
    model, history = model.fit(X, Y, batch_size=size, shuffle=False)
    trained = {name: figures[0] for name, figures in history.history.items()}
    for figures in (logs, trained):
        assert list(figures) == list(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(figures[name], value, rtol=2e-3 if name == "half" else 1e-5)
            assert isinstance(figures[name], np.ndarray if name == "each" else float)


def test_logs_of_on_batch_methods():
    expected = expected_logs([slice(0, 6), slice(6, 10)])
    model = make(Logging, optimizer=optax.sgd(0.0))
    model, _ = model.test_on_batch(X[:6], Y[:6])
    model, logs = model.test_on_batch(X[6:], Y[6:])
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=2e-3 if name == "half" else 1e-5)
    model, logs = model.train_on_batch(X[:6], Y[:6])
    assert float(logs["size"]) == 6
    assert float(model.reset_metrics().test_on_batch(X[:4], Y[:4])[1]["size"]) == 4


class LogsString(tg.Model):
    def train_step(self, **kwargs):
        logs, states = super().train_step(**kwargs)
        return {**logs, "note": "fine"}, states


def test_what_can_not_be_logged():
    with pytest.raises(TypeError, match="step `train_step` logs 'note' as 'fine'; expected are numbers, arrays and"):
        make(LogsString).fit(X, Y)


def test_accumulators_keep_their_dtypes_and_are_traced_once():
    def counted(y_true, y_pred):
        SEEN.append("counted")
        return jnp.argmax(y_pred, axis=-1) == jnp.argmax(y_true, axis=-1)

    def halves(y_pred):
        SEEN.append("halves")
        return jnp.sum(y_pred.astype(jnp.float16), axis=-1)

    model = make(metrics=[counted, halves, lambda y_true: jnp.argmax(y_true, axis=-1)]).init(X, Y)
    SEEN.clear()
    for _ in range(3):
        model, _ = model.test_on_batch(X[:5], Y[:5])
    # Once for `test_on_batch`, which knows from `init` what there is to accumulate.
    assert SEEN == ["counted", "halves"]
    SEEN.clear()
    model, _ = model.fit(X, Y, epochs=4, batch_size=5)
    model, _ = model.fit(X, Y, epochs=4, batch_size=5)
    assert SEEN == ["counted", "halves"]


# States


class Counter(tg.Model):
    """Carries a count, a Python number to begin with, and a moving average of its inputs."""

    def states_step(self):
        return super().states_step().update(count=0, average=jnp.zeros(3), name="counter")

    def train_step(self, *, x, states, initializing, **kwargs):
        logs, states = super().train_step(x=x, states=states, initializing=initializing, **kwargs)
        if not initializing:
            average = 0.5 * states.average + 0.5 * jnp.mean(x, axis=0)
            states = states.update(count=states.count + 1, average=average)
        return logs, states


def test_fields_of_the_states_are_carried_over_steps_and_epochs():
    model = make(Counter)
    assert model.states.count == 0 and model.states.name == "counter"
    model, _ = model.fit(X, Y, epochs=2, batch_size=4, shuffle=False)
    average = np.zeros(3)
    for batch in 2 * [X[:4], X[4:8], X[8:]]:
        average = 0.5 * average + 0.5 * batch.mean(axis=0)
    assert int(model.states.count) == int(model.states.step) == 6
    np.testing.assert_allclose(model.states.average, average, rtol=1e-5)
    more, _ = model.fit(X, Y, batch_size=5)
    assert int(more.states.count) == int(more.states.step) == 8
    assert int(more.train_on_batch(X, Y)[0].states.count) == 9
    assert int(model.states.count) == 6 and model.states.name == "counter"


class Changing(tg.Model):
    change: Any = eqx.field(kw_only=True, static=True)

    def states_step(self):
        return super().states_step().update(mine={"a": jnp.zeros(2), "b": "text"})

    def test_step(self, *, states, initializing, **kwargs):
        loss, logs, states = super().test_step(states=states, initializing=initializing, **kwargs)
        return loss, logs, states if initializing else states.update(mine=self.change(states.mine))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda m: {**m, "c": jnp.ones(3)},
            r"(?s)`\w+_step` changed the structure.*new:  states.mine\['c'\] = f32\[3\]",
        ),
        (lambda m: {"b": m["b"]}, r"(?s)`\w+_step` changed the structure.*gone: states.mine\['a'\] = f32\[2\]"),
        (lambda m: {**m, "a": jnp.zeros(3)}, r"`\w+_step` changed `states.mine\['a'\]` from f32\[2\] to f32\[3\]"),
        (
            lambda m: {**m, "a": jnp.zeros(2, jnp.int32)},
            r"`\w+_step` changed `states.mine\['a'\]` from f32\[2\] to i32\[2\]",
        ),
        (lambda m: {**m, "b": "other"}, r"`\w+_step` changed `states.mine\['b'\]` from 'text' to 'other'"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_states_that_change_their_form_are_told_where(change, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(make(Changing, change=change), method)(X, Y)


class InitCounts(tg.Model):
    def test_step(self, *, states, initializing, **kwargs):
        SEEN.append(initializing)
        loss, logs, states = super().test_step(states=states, initializing=initializing, **kwargs)
        return loss, logs, states.update(runs=states.get("runs", 0) + 1) if initializing else states


def test_init_runs_overridden_steps_once_for_real():
    model = make(InitCounts)
    assert not model.initialized and "runs" not in model.states
    first = model.init(X, Y)
    assert first.initialized and int(first.states.runs) == 1
    assert all(type(initializing) is bool for initializing in SEEN)
    again, _ = first.init(X, Y).fit(X, Y, epochs=2, batch_size=5)
    assert int(again.states.runs) == 1
    assert not model.initialized


def test_init_of_default_steps_runs_nothing():
    def never(y_true, y_pred):
        raise AssertionError

    model = tg.Model(linear(), loss=never, optimizer=optax.sgd(0.1, momentum=0.9)).init(X)
    assert model.initialized
    assert jax.tree.structure(model.states.optimizer_states) == jax.tree.structure(
        optax.sgd(0.1, momentum=0.9).init(eqx.filter(linear(), eqx.is_array))
    )


def test_metrics_states_are_none_until_there_is_something():
    model = make()
    assert model.states.metrics_states is None
    model, _ = model.fit(X, Y)
    assert model.states.metrics_states is None
    assert make().init(X, Y).states.metrics_states is not None
    # What `init` made goes on to serve: evaluating one batch counts that batch only.
    _, logs = make().init(X, Y).test_on_batch(X[:4], Y[:4])
    assert float(logs["loss"]) == pytest.approx(np.mean((Y[:4] - predicted(linear(), X[:4])) ** 2), rel=1e-5)


class Drawing(tg.Model):
    """Logs random numbers that it draws from its states."""

    def train_step(self, *, states, **kwargs):
        key, states = states.next_key()
        other, states = states.next_key()
        logs, states = super().train_step(states=states, **kwargs)
        return {**logs, "first": jax.random.uniform(key), "second": jax.random.uniform(other)}, states


def test_keys_differ_by_step_and_follow_from_the_seed():
    root = jax.random.key_data(make(Drawing).states.rng)
    model, history = make(Drawing).fit(X, Y, epochs=4, batch_size=10)
    drawn = history.history["first"] + history.history["second"]
    assert len(set(drawn)) == 8
    # The root stays what the seed made it, also where a step draws from it while initializing.
    np.testing.assert_array_equal(jax.random.key_data(model.states.rng), root)
    _, same = make(Drawing).fit(X, Y, epochs=4, batch_size=10, steps_per_execution=1)
    assert same.history["first"] + same.history["second"] == drawn
    _, other = make(Drawing, seed=1).fit(X, Y, epochs=4, batch_size=10)
    assert not set(other.history["first"]) & set(drawn)
    # Going on gives numbers that were not there before, as training for longer at once does.
    _, more = model.fit(X, Y, epochs=2, batch_size=10)
    _, longer = make(Drawing).fit(X, Y, epochs=6, batch_size=10)
    assert more.history["first"] == longer.history["first"][4:]


def test_keys_of_states_never_come_again():
    states = tg.States(rng=jax.random.key(0))
    seen = []
    for _ in range(4):
        key, states = states.next_key()
        seen += [key, states.rng, *jax.random.split(key, 3), *jax.random.split(states.rng, 3)]
    data = {tuple(jax.random.key_data(key).tolist()) for key in seen}
    # A split of what the states hold gives the next key and the next state again, and nothing else does.
    assert len(data) >= len(seen) - 2 * 3
    assert len({tuple(jax.random.key_data(k).tolist()) for k in seen[::8] + seen[1::8]}) == 8


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


# Steps as people write them


class GAN(tg.Model):
    """Two networks and two optimizers that take turns."""

    generator_optimizer: Any = eqx.field(kw_only=True)
    discriminator_optimizer: Any = eqx.field(kw_only=True)

    def states_step(self):
        states = super().states_step()
        params = states.net_params
        return states.update(
            generator_states=self.generator_optimizer.init(params["generator"]),
            discriminator_states=self.discriminator_optimizer.init(params["discriminator"]),
        )

    def pred_step(self, x, states):
        return jax.vmap(self.module["generator"])(x), states

    def train_step(self, x, y_true, states, initializing):
        if initializing:
            return {}, states
        params, static = states.net_params, states.net_states

        def scores(params: Any, samples: Any) -> Any:
            return jax.vmap(eqx.combine(params, static["discriminator"]))(samples)[:, 0]

        def generated(params: Any) -> Any:
            return jax.vmap(eqx.combine(params, static["generator"]))(x)

        def discriminator_loss(discriminator: Any) -> Any:
            fake = jax.lax.stop_gradient(generated(params["generator"]))
            real = jax.nn.softplus(-scores(discriminator, y_true))
            return jnp.mean(real) + jnp.mean(jax.nn.softplus(scores(discriminator, fake)))

        def generator_loss(generator: Any) -> Any:
            return jnp.mean(jax.nn.softplus(-scores(params["discriminator"], generated(generator))))

        d_loss, d_grads = jax.value_and_grad(discriminator_loss)(params["discriminator"])
        g_loss, g_grads = jax.value_and_grad(generator_loss)(params["generator"])
        d_updates, d_states = self.discriminator_optimizer.update(d_grads, states.discriminator_states)
        g_updates, g_states = self.generator_optimizer.update(g_grads, states.generator_states)
        params = {
            "generator": optax.apply_updates(params["generator"], g_updates),
            "discriminator": optax.apply_updates(params["discriminator"], d_updates),
        }
        states = states.update(net_params=params, discriminator_states=d_states, generator_states=g_states)
        return {"generator_loss": g_loss, "discriminator_loss": d_loss}, states


@pytest.mark.standard_promotion
def test_a_gan_of_two_networks_and_two_optimizers():
    noise, real = numbers(128, 2), 0.3 * numbers(128, 2, seed=1) + np.array([2.0, -1.0], np.float32)
    module = {
        "generator": eqx.nn.MLP(2, 2, 16, 1, key=jax.random.key(0)),
        "discriminator": eqx.nn.MLP(2, 1, 16, 1, key=jax.random.key(1)),
    }
    model = GAN(module, generator_optimizer=optax.adam(1e-2, b1=0.5), discriminator_optimizer=optax.adam(1e-2, b1=0.5))
    before = np.linalg.norm(np.mean(model.predict(noise), axis=0) - np.array([2, -1]))
    model, history = model.fit(noise, real, epochs=60, batch_size=32)
    assert list(history.history) == ["generator_loss", "discriminator_loss"]
    after = np.linalg.norm(np.mean(model.predict(noise), axis=0) - np.array([2, -1]))
    assert after < 0.4 * before
    assert model.predict(noise).shape == (128, 2)


class OwnOptimizer(tg.Model):
    """Brings its parameters, its gradient and its optimizer."""

    def train_step(self, x, y_true, states, initializing):
        optimizer = optax.sgd(0.1, momentum=0.9)
        if initializing:
            params = {"w": jnp.zeros((x.shape[1], y_true.shape[1])), "b": jnp.zeros((1, y_true.shape[1]))}
            return {}, states.update(net_params=params, optimizer_states=optimizer.init(params))

        def loss_of(params: Any) -> Any:
            return jnp.mean((y_true - x @ params["w"] - params["b"]) ** 2)

        loss, grads = jax.value_and_grad(loss_of)(states.net_params)
        updates, optimizer_states = optimizer.update(grads, states.optimizer_states)
        params = optax.apply_updates(states.net_params, updates)
        return {"mse": loss}, states.update(net_params=params, optimizer_states=optimizer_states)


def test_a_train_step_with_its_own_gradient_and_optimizer():
    y = X @ numbers(3, 2, seed=2) + 1
    model, history = OwnOptimizer().fit(X, y, epochs=100, batch_size=10)
    assert list(history.history) == ["mse"]
    assert history.history["mse"][0] == pytest.approx(np.mean(y**2), rel=1e-5)
    assert history.history["mse"][-1] < 1e-3
    np.testing.assert_allclose(model.parameters["w"], numbers(3, 2, seed=2), atol=0.1)


def test_overriding_train_step_alone_does_not_hide_that_nothing_can_be_evaluated():
    # A validation that can't be made is an error, not one that is left out.
    with pytest.raises(tg.MissingModule, match="has no module"):
        OwnOptimizer().fit(X, Y, validation_data=(X, Y))
    with pytest.raises(tg.MissingModule, match="has no module"):
        OwnOptimizer().fit(X, Y)[0].evaluate(X, Y)


class Clipped(tg.Model):
    limit: float = eqx.field(default=0.01, kw_only=True)

    def grad_step(self, **kwargs):
        loss, logs, states, grads = super().grad_step(**kwargs)
        norm = optax.tree.norm(grads)
        scale = jnp.minimum(1.0, self.limit / norm)
        return loss, {**logs, "grad_norm": norm}, states, jax.tree.map(lambda g: g * scale, grads)


def test_gradients_are_clipped_in_grad_step():
    chain = optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(0.1))
    expected, _ = make(optimizer=chain).fit(X, Y, epochs=3, batch_size=5)
    model, history = make(Clipped).fit(X, Y, epochs=3, batch_size=5)
    assert history.history["grad_norm"][0] > 0.01
    np.testing.assert_allclose(model.module.weight, expected.module.weight, rtol=1e-5)
    unclipped, _ = make(Clipped, limit=1e6).fit(X, Y, epochs=3, batch_size=5)
    assert not np.allclose(unclipped.module.weight, expected.module.weight, rtol=1e-3)


@pytest.mark.standard_promotion
def test_optimizers_that_accumulate_gradients():
    optimizer = optax.MultiSteps(optax.sgd(0.1), every_k_schedule=2).gradient_transformation()
    twice, _ = make(optimizer=optimizer).fit(X, Y, batch_size=5, shuffle=False)
    once, _ = make().fit(X, Y, batch_size=10)
    np.testing.assert_allclose(twice.module.weight, once.module.weight, rtol=1e-5)


@pytest.mark.standard_promotion
def test_optimizers_that_ask_for_the_loss():
    optimizer = optax.chain(optax.sgd(0.0), optax.contrib.reduce_on_plateau(patience=1, factor=0.5))
    model, _ = make(optimizer=optimizer).fit(X, Y, epochs=6, batch_size=10)
    scale = model.states.optimizer_states[-1].scale
    assert 0 < float(scale) <= 0.25


class VAE(eqx.Module):
    encoder: eqx.nn.Linear
    decoder: eqx.nn.Linear

    def __init__(self):
        self.encoder, self.decoder = linear(6, 4), linear(2, 6, seed=1)

    def __call__(self, x, key, training):
        mean, log_std = jnp.split(self.encoder(x), 2)
        noise = jax.random.normal(key, mean.shape) if training else jnp.zeros_like(mean)
        return {"x": self.decoder(mean + jnp.exp(log_std) * noise), "mean": mean, "log_std": log_std, "noise": noise}


class KL(tg.Loss):
    def call(self, y_pred):
        mean, log_std = y_pred["mean"], y_pred["log_std"]
        return 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_std) - 2 * log_std - 1, axis=-1)


class Reconstruction(tg.Loss):
    def call(self, x, y_pred):
        return jnp.mean((x - y_pred["x"]) ** 2, axis=-1)


def test_a_vae_draws_noise_while_training():
    x = numbers(64, 2) @ numbers(2, 6, seed=3)
    model = tg.Model(VAE(), loss=[Reconstruction(), KL(weight=1e-3)], optimizer=optax.sgd(0.05))
    trained, history = model.fit(x, epochs=20, batch_size=16)
    assert list(history.history) == ["loss", "reconstruction_loss", "kl_loss"]
    assert history.history["reconstruction_loss"][-1] < 0.5 * history.history["reconstruction_loss"][0]
    np.testing.assert_array_equal(trained.predict(x)["noise"], 0)
    y_pred, _ = trained.pred_step(jnp.asarray(x), training=True)
    noise = np.asarray(y_pred["noise"])
    assert len(np.unique(noise)) == noise.size  # each example has a key of its own
    assert trained.evaluate(x) == trained.evaluate(x)


class Normalized(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self):
        self.first, self.last = linear(3, 8), linear(8, 2, seed=1)
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="ema", momentum=0.5)
        self.dropout = eqx.nn.Dropout(0.5)

    def __call__(self, x, state, key):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(x), key=key)), state


def test_batch_norm_and_dropout_change_with_training_only():
    module, state = eqx.nn.make_with_state(Normalized)()
    model = tg.Model(module, loss=MSE(), state=state, optimizer=optax.sgd(0.05)).init(X, Y)
    before = jax.tree.map(np.asarray, model.states.state)
    trained, history = model.fit(X, Y, epochs=10, batch_size=5)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert not eqx.tree_equal(jax.tree.map(np.asarray, trained.state), before)
    # The old model and its state stay as they were, and usable.
    assert eqx.tree_equal(jax.tree.map(np.asarray, model.state), before)
    model.fit(X, Y, batch_size=5)

    # Outside training nothing is dropped, and an example doesn't depend on the others in its batch.
    first = trained.predict(X)
    np.testing.assert_array_equal(first, trained.predict(X))
    np.testing.assert_allclose(trained.predict(X, batch_size=1), first, rtol=1e-5, atol=1e-6)
    logs = trained.evaluate(X, Y, batch_size=3)
    assert logs["loss"] == pytest.approx(np.mean((Y - np.asarray(first)) ** 2), rel=1e-5)
    after, _ = trained.test_on_batch(X, Y)
    assert eqx.tree_equal(after.state, trained.state)
    # In training it does, and the noise is another each time.
    in_training, states = trained.pred_step(jnp.asarray(X), training=True)
    assert not np.allclose(np.asarray(in_training), first)
    assert not eqx.tree_equal(states.state, trained.state)
    # The network itself is in the mode in which it was given.
    assert trained.module.dropout.inference is False


def test_batch_norm_counts_the_examples_as_numpy_does():
    module, state = eqx.nn.make_with_state(Normalized)()
    model = tg.Model(module, loss=MSE(), state=state, optimizer=optax.sgd(0.0))
    model, _ = model.fit(X, Y, epochs=1, batch_size=10)
    hidden = predicted(module.first, X)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(model.state)]
    # The first batch sets the running mean and variance.
    assert any(leaf.shape == (8,) and np.allclose(leaf, hidden.mean(axis=0), atol=1e-5) for leaf in leaves)


def test_frozen_leaves_stay_as_they_are():
    frozen = eqx.tree_at(lambda m: m.weight, jax.tree.map(eqx.is_inexact_array, linear()), False)
    model, history = make(trainable=frozen, optimizer=optax.sgd(0.1, momentum=0.9)).fit(X, Y, epochs=5, batch_size=5)
    assert history.history["loss"][-1] < history.history["loss"][0]
    np.testing.assert_array_equal(model.module.weight, linear().weight)
    assert not eqx.tree_equal(model.module.bias, linear().bias)
    assert [leaf.shape for leaf in jax.tree.leaves(model.states.optimizer_states)] == [(2,)]


class Detached(tg.Model):
    def test_step(self, x, y_true, states):
        y_pred = jax.lax.stop_gradient(jax.vmap(self.module)(x))
        loss = jnp.mean((y_true - y_pred) ** 2)
        return loss, {"loss": loss}, states


class IntegerParameters(tg.Model):
    def test_step(self, x, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.ones(3), "n": jnp.int32(1)})
        loss = jnp.mean(x @ states.net_params["w"])
        return loss, {}, states


class NoParameters(tg.Model):
    def test_step(self, x, states):
        return jnp.mean(x), {}, states


@pytest.mark.parametrize(
    "model, message",
    [
        (make(Detached), "the loss doesn't depend on `net_params`"),
        (make(loss=None), "`Model` has no loss to train on"),
        (make(trainable=False), r"nothing to train.*`trainable` selects none of the module's"),
        (NoParameters(optimizer=optax.sgd(0.1)), "nothing to train.*there is no module"),
        (IntegerParameters(optimizer=optax.sgd(0.1)), r"`states.net_params\['n'\]` is i32\[\], which can't be trained"),
        (make(optimizer=None), "`Model` has no optimizer to train with"),
    ],
)
def test_training_that_would_change_nothing_is_an_error(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)


# What goes through the steps


class Raw(tg.Loss):
    """Values `(batch, ...)` as they are, without asking for weights."""

    def call(self, y_pred):
        return y_pred


@pytest.mark.parametrize("shape", [(10,), (10, 1), (10, 4), (10, 10), (10, 2, 3)])
def test_weights_line_up_with_examples_and_reach_losses_that_do_not_name_them(shape):
    weight = np.arange(10, dtype=np.float32)
    x = numbers(*shape)
    model = tg.Model(lambda v: v, loss=[Raw(), Raw(reduction="weighted_mean")], metrics=lambda y_pred: y_pred)
    logs = model.evaluate(x, sample_weight=weight, batch_size=4)
    weights = np.broadcast_to(weight.reshape(10, *(1,) * (len(shape) - 1)), shape).astype(np.float64)
    assert logs["raw_loss"] == pytest.approx(np.mean(weights * x), rel=1e-4, abs=1e-5)
    assert logs["raw_loss_1"] == pytest.approx(np.average(x, weights=weights), rel=1e-4, abs=1e-5)
    assert logs["lambda"] == pytest.approx(np.average(x, weights=weights), rel=1e-4, abs=1e-5)


def test_metrics_of_errors_are_weighted():
    weight = np.linspace(0, 1, 10, dtype=np.float32)
    metrics = [tg.metrics.MeanSquaredError(), tg.metrics.MeanAbsoluteError(), tg.metrics.Mean(of="y_pred")]
    logs = tg.Model(linear(), metrics=metrics).evaluate(X, Y, sample_weight=weight)
    error = Y - predicted(linear(), X)
    assert logs["mean_squared_error"] == pytest.approx(np.average((error**2).mean(-1), weights=weight), rel=1e-5)
    assert logs["mean_absolute_error"] == pytest.approx(np.average(np.abs(error).mean(-1), weights=weight), rel=1e-5)
    assert logs["mean"] == pytest.approx(np.average(predicted(linear(), X).mean(-1), weights=weight), rel=1e-5)


def test_weights_train_where_there_are_no_labels():
    weight = np.r_[np.ones(5), np.zeros(5)].astype(np.float32)
    loss = AutoEncoder(reduction="weighted_mean")
    model = tg.Model(linear(3, 3), loss=loss, optimizer=optax.sgd(0.1))
    weighted, _ = model.fit(X, sample_weight=weight, batch_size=10, epochs=3)
    selected, _ = model.fit(X[:5], batch_size=10, epochs=3)
    np.testing.assert_allclose(weighted.module.weight, selected.module.weight, rtol=1e-5, atol=1e-6)


class AutoEncoder(tg.Loss):
    def call(self, x, y_pred):
        return jnp.mean((x - y_pred) ** 2, axis=-1)


def test_class_weights_train():
    labels = np.array([0, 1, 2, 2, 1, 0, 0, 1, 2, 1], np.int32)
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = tg.Model(linear(3, 3), loss=loss, optimizer=optax.sgd(0.1))
    by_class, _ = model.fit(X, labels, class_weight={0: 0.5, 1: 1.0, 2: 3.0}, batch_size=10)
    by_sample, _ = model.fit(X, labels, sample_weight=np.array([0.5, 1, 3], np.float32)[labels], batch_size=10)
    plain, _ = model.fit(X, labels, batch_size=10)
    np.testing.assert_allclose(by_class.module.weight, by_sample.module.weight, rtol=1e-5)
    assert not np.allclose(by_class.module.weight, plain.module.weight)


@pytest.mark.parametrize("kind", ["array", "tuple", "dict"])
@pytest.mark.parametrize("labels", [True, False])
def test_validation_split_of_any_structure(kind, labels):
    x: Any = {"array": X, "tuple": (X, X), "dict": {"a": X, "b": X}}[kind]
    module = {"array": lambda a: a, "tuple": lambda a, b: a, "dict": lambda b: b}[kind]

    def first(x):
        return jax.tree.leaves(x)[0][:, 0]

    model = Untrained(module, metrics=[first] + [lambda y_true: y_true[:, 0]] * labels)
    _, history = model.fit(x, Y if labels else None, validation_split=0.3, batch_size=4)
    assert history.history["first"] == [pytest.approx(X[:7, 0].mean(), rel=1e-5)]
    assert history.history["val_first"] == [pytest.approx(X[7:, 0].mean(), rel=1e-5)]
    if labels:
        assert history.history["val_lambda"] == [pytest.approx(Y[7:, 0].mean(), rel=1e-5)]


class Untrained(tg.Model):
    """Logs while training what it would while testing."""

    def train_step(self, **kwargs):
        _, logs, states = self.test_step(**kwargs)
        return logs, states


def test_fewer_examples_than_a_batch_are_trained_and_validated_on():
    model = make()
    trained, history = model.fit(X, Y, batch_size=64, validation_split=0.2)
    assert history.history["loss"] == [pytest.approx(np.mean((Y[:8] - predicted(linear(), X[:8])) ** 2), rel=1e-5)]
    assert history.history["val_loss"] == [pytest.approx(trained.evaluate(X[8:], Y[8:])["loss"], rel=1e-5)]
    assert not np.allclose(trained.module.weight, model.module.weight)
    with pytest.raises(ValueError, match="`drop_remainder=True` with `batch_size=64` drops all 10 examples"):
        model.fit(X, Y, batch_size=64, drop_remainder=True)


class Pair(NamedTuple):
    one: Any
    two: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    one: Any
    two: Any


@pytest.mark.parametrize("make_output", [lambda a, b: [a, b], lambda a, b: {"one": a, "two": (b,)}, Pair, Record])
def test_predictions_keep_the_structure_of_the_outputs(make_output):
    y_pred = tg.Model(lambda x: make_output(x, 2 * x[0])).predict(X, batch_size=4)
    expected = make_output(X, 2 * X[:, 0])
    assert jax.tree.structure(y_pred) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(y_pred), jax.tree.leaves(expected), strict=True):
        assert isinstance(a, jax.Array)
        np.testing.assert_array_equal(a, b)


def test_names_of_losses_and_metrics_never_overwrite_each_other():
    def loss(y_true, y_pred):
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    def mse_loss(y_pred):
        return jnp.mean(y_pred, axis=-1)

    model = tg.Model(linear(), loss=[MSE(), MSE(weight=2.0), loss], metrics=[mse_loss, MSELoss(), mse_loss])
    logs = model.evaluate(X, Y)
    assert list(logs) == ["loss", "mse_loss", "mse_loss_1", "loss_1", "mse_loss_2", "mse_loss_3", "mse_loss_4"]
    assert logs["loss"] == pytest.approx(4 * logs["mse_loss"], rel=1e-5)
    assert logs["mse_loss_2"] == pytest.approx(predicted(linear(), X).mean(), rel=1e-5)
    assert logs["mse_loss_3"] == 1


class MSELoss(tg.Metric):
    def call(self, y_true):
        return jnp.ones(len(y_true))


def test_a_model_is_called_as_its_predictions_are():
    model = make()
    np.testing.assert_allclose(model(X), predicted(linear(), X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model(X), model.predict_on_batch(X))
    keyed = tg.Model(lambda x, key: x + jax.random.normal(key, x.shape))
    assert not np.allclose(keyed(X), X)


def test_keys_of_x_that_are_named_like_something_treegy_provides():
    class Takes(eqx.Module):
        def __call__(self, training, other):
            return training + other

    class Leaves(eqx.Module):
        def __call__(self, other, training):
            return jnp.where(training, -other, other)

    named = {"training": X, "other": 2 * X}
    np.testing.assert_allclose(tg.Model(Takes()).predict(named), 3 * X, rtol=1e-6)
    np.testing.assert_array_equal(tg.Model(Leaves()).predict({"other": X}), X)


def test_shuffling_leaves_numpy_alone():
    np.random.seed(0)
    before: Any = np.random.get_state()
    first, history = make().fit(X, Y, epochs=3, batch_size=4)
    assert str(np.random.get_state()) == str(before)
    np.random.seed(1)
    second, same = make().fit(X, Y, epochs=3, batch_size=4)
    assert eqx.tree_equal(first.module, second.module) and history.history == same.history
    other, _ = make(seed=1).fit(X, Y, epochs=3, batch_size=4)
    assert not eqx.tree_equal(first.module, other.module)


def test_a_loss_without_a_reduction_is_refused_by_models():
    with pytest.raises(ValueError, match=r'`loss\[1\]` has `reduction="none"`, which gives no number to train on'):
        tg.Model(linear(), loss=[MSE(), MSE(reduction="none")])


def test_figures_are_python_floats():
    model, history = make(metrics=tg.metrics.MeanAbsoluteError()).fit(X, Y, epochs=2, validation_data=(X, Y))
    names = ["loss", "mse_loss", "mean_absolute_error"]
    assert list(history.history) == names + [f"val_{name}" for name in names]
    assert all(type(figure) is float for figures in history.history.values() for figure in figures)
    assert all(type(figure) is float for figure in model.evaluate(X, Y).values())


@pytest.mark.parametrize("given", ["sample_weight", "class_weight"])
def test_weights_that_a_step_does_not_ask_for_are_told(given, recwarn):
    class Own(tg.Model[Any]):
        def train_step(self, x, y_true, states, training):
            return super().train_step(x=x, y_true=y_true, states=states, training=training)

    class Whole(tg.Model[Any]):
        def train_step(self, **arguments: Any) -> Any:
            return super().train_step(**arguments)

    x, y = np.ones((8, 3), "float32"), np.zeros(8, "int32")
    weights: dict[str, Any] = {"sample_weight": np.ones(8, "float32"), "class_weight": {0: 2.0}}
    fields: dict[str, Any] = {
        "loss": tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        "optimizer": optax.sgd(0.1),
    }
    net = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    Own(net, **fields).fit(x, y, verbose=0)[1]
    Whole(net, **fields).fit(x, y, verbose=0, **{given: weights[given]})[1]
    assert not [w for w in recwarn if "so that it has no effect" in str(w.message)]
    with pytest.warns(UserWarning, match=f"`{given}` is given, and step `train_step` .* add a parameter `{given}`"):
        Own(net, **fields).fit(x, y, verbose=0, **{given: weights[given]})[1]
