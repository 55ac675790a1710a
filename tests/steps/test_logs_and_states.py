"""What steps log, and what they keep in the states."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import linear, predicted
from helpers.steps import X, Y, make

SEEN: list[Any] = []
"""What the steps of these tests write down while they are traced."""


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


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
