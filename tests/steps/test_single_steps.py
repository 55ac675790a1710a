"""`train_on_batch`, `test_on_batch`, `predict_on_batch`: which programs they run, and what they cost."""

import copy
import gc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers


def same(a: Any, b: Any, rtol: float = 0.0) -> bool:
    """Whether two PyTrees are alike, and their numbers nearly."""
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=rtol) for x, y in pairs
    )


X, Y = numbers(8, 3), numbers(8, 2, seed=1)


class Counter:
    """Is equal to itself alone, so that each loss that has one has programs of its own."""

    traces = 0


class Counted(tg.Loss):
    """Counts how often it is traced."""

    counter: Counter = eqx.field(static=True, default_factory=Counter)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.counter.traces += 1
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def network(width: int = 4, activation: Any = jax.nn.relu, key: int = 0) -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 2, width, 1, activation=activation, key=jax.random.key(key))


def made(**changes: Any) -> tg.Model[Any]:
    fields: dict[str, Any] = {
        "module": network(),
        "loss": tg.losses.MeanSquaredError(),
        "metrics": tg.metrics.MeanAbsoluteError(),
        "optimizer": optax.sgd(0.1, momentum=0.9),
    }
    return tg.Model(**{**fields, **changes})


# One thing at a time that makes another program, or another result of the same one.
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "activation": {"module": network(activation=jax.nn.tanh)},
    "width": {"module": network(width=5)},
    "values": {"module": network(key=1)},
    "trainable": {
        "trainable": jax.tree.map(lambda leaf: eqx.is_inexact_array(leaf) and leaf.ndim == 2, network()),
    },
    "loss": {"loss": tg.losses.MeanAbsoluteError()},
    "reduction": {"loss": tg.losses.MeanSquaredError(reduction="sum")},
    "weight": {"loss": tg.losses.MeanSquaredError(weight=2.0)},
    "metric": {"metrics": tg.metrics.MeanSquaredError(name="other")},
    "rate": {"optimizer": optax.sgd(0.2, momentum=0.9)},
    "momentum": {"optimizer": optax.sgd(0.1)},
    "batched": {"module": lambda x: jnp.mean(x, axis=-1, keepdims=True) * jnp.ones(2), "optimizer": None},
    "seed": {"module": eqx.nn.Sequential([network(), eqx.nn.Dropout(0.5)]), "seed": 7},
    "half": {"module": jax.tree.map(lambda a: a.astype(jnp.float16) if eqx.is_inexact_array(a) else a, network())},
}


@pytest.mark.once
@pytest.mark.standard_promotion
@pytest.mark.parametrize("change", CHANGES)
def test_a_program_is_found_for_what_it_fits_alone(change: str):
    """Whatever models have run before: each gives what it gives when nothing is compiled."""
    models = [made(), made(**CHANGES[change]), made()]
    for model in models:
        eager = model.replace(run_eagerly=True)
        assert same(model.predict_on_batch(X), eager.predict_on_batch(X), rtol=2e-3)
        tested, logs = model.test_on_batch(X, Y)
        assert same(logs, eager.test_on_batch(X, Y)[1], rtol=2e-3)
        assert not same(tested.test_on_batch(X[:5], Y[:5])[1], logs)
        if model.optimizer is not None:
            after, logs = model.train_on_batch(X, Y)
            expected, expected_logs = eager.train_on_batch(X, Y)
            assert same(logs, expected_logs, rtol=2e-3)
            assert same(after.parameters, expected.parameters, rtol=2e-3)


def test_steps_are_traced_once_for_each_shape():
    loss = Counted()
    model = made(loss=loss)
    trained, _ = model.train_on_batch(X, Y)
    first = loss.counter.traces
    for _ in range(3):
        trained, _ = trained.train_on_batch(X, Y)
        model.train_on_batch(X + 1, Y)
    assert loss.counter.traces == first
    trained.train_on_batch(X[:5], Y[:5])
    assert loss.counter.traces > first


def test_evaluating_a_model_again_and_again_traces_nothing():
    """Also where it has no metrics of its own yet: what is logged was found out the first time."""
    loss = Counted()
    model = made(loss=loss)
    model.test_on_batch(X, Y)
    first = loss.counter.traces
    for _ in range(3):
        model.test_on_batch(X, Y)
    assert loss.counter.traces == first


def test_the_model_that_is_held_stays_valid():
    model = made().init(X, Y)
    before = jax.tree.map(np.asarray, model.parameters)
    for _ in range(3):
        model.train_on_batch(X, Y)
    assert same(model.parameters, before)


def test_an_array_that_changes_afterwards_was_read_before():
    """NumPy's arrays go to the device when the step is called, which need not have ended when it returns."""
    model, x = made(), X.copy()
    expected = np.asarray(model.predict_on_batch(X))
    found = model.predict_on_batch(x)
    x[:] = np.nan
    np.testing.assert_array_equal(found, expected)


class Refusing(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x: jax.Array) -> jax.Array:
        return eqx.error_if(self.linear(x), jnp.any(x > 100), "an input is too large")


def test_runtime_errors_are_raised_where_the_step_is_called():
    model = made(module=Refusing(eqx.nn.Linear(3, 2, key=jax.random.key(0))))
    model, _ = model.train_on_batch(X, Y)
    steps: list[Any] = [
        model.predict_on_batch,
        lambda x: model.train_on_batch(x, Y)[1],
        lambda x: model.test_on_batch(x, Y)[1],
    ]
    for step in steps:
        with pytest.raises(eqx.EquinoxRuntimeError, match="^an input is too large") as caught:
            step(X + 1000)
        assert "XLA" not in str(caught.value)
        step(X)


def test_methods_are_pytrees_of_the_models_arrays():
    model = made().init(X, Y)
    inputs = [jax.tree.leaves(eqx.filter(tree, eqx.is_array)) for tree in (model.predict_on_batch, model)]
    assert [a is b for a, b in zip(*inputs, strict=True)] == [True] * len(inputs[0])
    compiled = eqx.filter_jit(lambda method, x: method(x))
    other = model.replace(module=network(key=1))
    assert same(compiled(model.predict_on_batch, jnp.asarray(X)), model.predict_on_batch(X), rtol=1e-6)
    assert same(compiled(other.predict_on_batch, jnp.asarray(X)), other.predict_on_batch(X), rtol=1e-6)
    assert model.fit == model.fit
    assert model.fit.__name__ == "fit" and "Train the model" in (model.fit.__doc__ or "")
    assert "Model.fit" in repr(model.fit)


def test_methods_can_be_copied():
    model = made()
    for copied in (copy.copy(model.predict_on_batch), copy.deepcopy(model.predict_on_batch)):
        assert same(copied(X), model.predict_on_batch(X))


def test_what_users_donate_is_nobody_elses():
    """What was found out about a model's logs is kept, and its arrays are not those that users get."""
    for _ in range(2):
        model = made().init(X, Y)
        for leaf in jax.tree.leaves(model.states.metrics_states):
            leaf.delete()  # as donating it does
        assert np.isfinite(float(made().test_on_batch(X, Y)[1]["loss"]))


def test_what_a_step_does_not_change_is_what_it_was_given():
    model = made().init(X, Y)
    tested, _ = model.test_on_batch(X, Y)
    assert tested.module.layers[0].weight is model.module.layers[0].weight
    frozen = made(trainable=CHANGES["trainable"]["trainable"]).init(X, Y)
    trained, _ = frozen.train_on_batch(X, Y)
    assert trained.module.layers[0].bias is frozen.module.layers[0].bias
    assert trained.module.layers[0].weight is not frozen.module.layers[0].weight


@pytest.mark.slow
def test_memory_is_flat_over_many_steps():
    model = made().init(X, Y)
    for _ in range(1000):
        model, _ = model.train_on_batch(X, Y)
    gc.collect()
    before = len(jax.live_arrays())
    for _ in range(100_000):
        model, _ = model.train_on_batch(X, Y)
    gc.collect()
    assert len(jax.live_arrays()) <= before + 10
