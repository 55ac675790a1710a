"""What holds for all that goes through the steps: weights, structures, names and keys."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import MSE, linear, numbers, predicted
from helpers.steps import X, Y, make


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
