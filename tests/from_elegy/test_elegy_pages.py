"""The code of three pages of Elegy's documentation: "Low-level API", "test_step", "Modules, Losses and Metrics".

It is changed in the package's name, in how the result of `fit` is received, and where metrics now return values instead
of adding them up themselves. Modules are Equinox's, and so have a `__call__` and take one example. What the pages leave
out (`...`, data) is filled in.
"""

# A list as a shape, as those pages have it, is more than JAX's annotations say.
# pyright: reportArgumentType=false

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

import treegy as tg
from helpers import numbers

# Code as people write it, with JAX's own promotion.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits as MNIST has them: bytes from 0 to 255."""
    bunch: Any = load_digits()
    return (bunch.images * (255 / 16)).astype(np.uint8)[:640], bunch.target[:640].astype(np.int32)


def softmax_crossentropy(logits: Any, labels: Any) -> Any:
    logits = np.asarray(logits, np.float64)
    peak = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - peak).sum(axis=-1)) + peak[:, 0]
    return log_sum - logits[np.arange(len(logits)), labels]


def logits_of(params: Any, images: Any) -> Any:
    w, b = (np.asarray(p, np.float64) for p in params)
    return images.reshape(len(images), -1) / 255 @ w + b


# "Low-level API", and the first example of "test_step", which repeats it


class LinearClassifier(tg.Model):
    def test_step(self, x, y_true, states, initializing):
        x = jnp.reshape(x, (x.shape[0], -1)) / 255

        # initialize or use existing parameters
        if initializing:
            w = jax.random.uniform(jax.random.PRNGKey(42), shape=[np.prod(x.shape[1:]), 10])
            b = jax.random.uniform(jax.random.PRNGKey(69), shape=[1])
        else:
            w, b = states.net_params

        # model
        logits = jnp.dot(x, w) + b

        # categorical crossentropy loss
        labels = jax.nn.one_hot(y_true, 10)
        loss = jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))
        accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == y_true)

        # metrics
        logs = dict(accuracy=accuracy, loss=loss)

        # update states
        states = states.update(net_params=(w, b))

        return loss, logs, states


def test_low_level_api_linear_classifier(digits):
    X_train, y_train = digits
    model = LinearClassifier(optimizer=optax.adam(1e-3))

    model, history = model.fit(x=X_train, y=y_train, epochs=100, batch_size=64)

    assert list(history.history) == ["accuracy", "loss"]
    assert len(history.history["loss"]) == 100
    assert history.history["loss"][-1] < 0.6 < 2 < history.history["loss"][0]
    assert history.history["accuracy"][-1] > 0.9

    # The metric values of the trained model, and those that it started with, worked out by hand.
    logits = logits_of(model.parameters, X_train)
    logs = model.evaluate(X_train, y_train, batch_size=150)
    np.testing.assert_allclose(logs["loss"], softmax_crossentropy(logits, y_train).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["accuracy"], (logits.argmax(axis=-1) == y_train).mean(), rtol=1e-6)
    start = [
        jax.random.uniform(jax.random.PRNGKey(42), shape=[64, 10]),
        jax.random.uniform(jax.random.PRNGKey(69), shape=[1]),
    ]
    logs = LinearClassifier().evaluate(X_train, y_train)
    expected = softmax_crossentropy(logits_of(start, X_train), y_train).mean()
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_test_step_alone_has_no_predict(digits):
    X_train, y_train = digits
    model = LinearClassifier(optimizer=optax.adam(1e-3))
    model, history = model.fit(x=X_train, y=y_train, epochs=2, batch_size=64)
    assert history.history["loss"][1] < history.history["loss"][0]
    # "we loose the power to call `predict`"
    with pytest.raises(tg.MissingModule, match="override `pred_step`"):
        model.predict(X_train)


def test_test_step_with_the_logits_in_pred_step(digits):
    class LinearClassifier(tg.Model):
        def pred_step(self, x, states, initializing):
            x = jnp.reshape(x, (x.shape[0], -1)) / 255

            # initialize or use existing parameters
            if initializing:
                w = jax.random.uniform(jax.random.PRNGKey(42), shape=[np.prod(x.shape[1:]), 10])
                b = jax.random.uniform(jax.random.PRNGKey(69), shape=[1])
            else:
                w, b = states.net_params

            # model
            logits = jnp.dot(x, w) + b

            return logits, states.update(net_params=(w, b))

        def test_step(self, x, y_true, states, initializing):
            # call pred_step
            logits, states = self.pred_step(x, states, initializing)

            # categorical crossentropy loss
            labels = jax.nn.one_hot(y_true, 10)
            loss = jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == y_true)

            # metrics
            logs = dict(accuracy=accuracy, loss=loss)

            return loss, logs, states

    X_train, y_train = digits
    model = LinearClassifier(optimizer=optax.adam(1e-2))
    model, history = model.fit(x=X_train, y=y_train, epochs=20, batch_size=64)
    assert history.history["loss"][-1] < 0.5 < history.history["loss"][0]
    y_pred = model.predict(X_train, batch_size=100)
    np.testing.assert_allclose(y_pred, logits_of(model.parameters, X_train), rtol=1e-4, atol=1e-4)
    logs = model.evaluate(X_train, y_train)
    assert logs["accuracy"] > 0.9
    np.testing.assert_allclose(logs["accuracy"], np.mean(np.argmax(y_pred, axis=-1) == y_train), rtol=1e-6)
    np.testing.assert_allclose(logs["loss"], softmax_crossentropy(y_pred, y_train).mean(), rtol=1e-4)


# "Modules, Losses and Metrics"


class TwoOutputs(eqx.Module):
    """Predicts `output_a`, a logit, and `output_b`, the logits of three classes."""

    a: eqx.nn.Linear
    b: eqx.nn.Linear

    def __init__(self):
        self.a = eqx.nn.Linear(4, 1, key=jax.random.key(0))
        self.b = eqx.nn.Linear(4, 3, key=jax.random.key(1))

    def __call__(self, x):
        return {"output_a": self.a(x), "output_b": self.b(x)}


def test_modules_losses_metrics_keras_limitations():
    """Losses and metrics per output, which is all that the Keras code has, and one that combines both outputs."""
    x = numbers(48, 4)
    y = {
        "output_a": (x[:, :1] > 0).astype(np.float32),
        "output_b": np.eye(3, dtype=np.float32)[np.argmax(x[:, :3], axis=-1)],
    }

    def both_correct(y_true, y_pred):
        a = (y_pred["output_a"][:, 0] > 0) == y_true["output_a"][:, 0]
        b = jnp.argmax(y_pred["output_b"], axis=-1) == jnp.argmax(y_true["output_b"], axis=-1)
        return a & b

    model = tg.Model(
        TwoOutputs(),
        loss=[
            tg.losses.BinaryCrossentropy(from_logits=True, on="output_a"),
            tg.losses.CategoricalCrossentropy(from_logits=True, on="output_b"),
        ],
        metrics=[
            tg.metrics.BinaryAccuracy(threshold=0.0, on="output_a"),
            tg.metrics.CategoricalAccuracy(on="output_b"),
            both_correct,
        ],
        optimizer=optax.adam(3e-2),
    )
    model, history = model.fit(x, y, epochs=20, batch_size=16)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    logs = model.evaluate(x, y)
    assert list(logs) == [
        "loss",
        "binary_crossentropy_loss",
        "categorical_crossentropy_loss",
        "binary_accuracy",
        "categorical_accuracy",
        "both_correct",
    ]
    y_pred = jax.tree.map(np.asarray, model.predict(x))
    a = (y_pred["output_a"] > 0)[:, 0] == y["output_a"][:, 0]
    b = y_pred["output_b"].argmax(-1) == y["output_b"].argmax(-1)
    np.testing.assert_allclose(logs["binary_accuracy"], a.mean(), rtol=1e-6)
    np.testing.assert_allclose(logs["categorical_accuracy"], b.mean(), rtol=1e-6)
    np.testing.assert_allclose(logs["both_correct"], (a & b).mean(), rtol=1e-6)


def test_modules_losses_metrics_module_of_an_array():
    class SomeModule(eqx.Module):
        def __call__(self, m):
            return 2 * m

    model = tg.Model(SomeModule())
    a = numbers(5, 3)
    np.testing.assert_array_equal(model.predict(a), 2 * a)


def test_modules_losses_metrics_module_of_a_tuple():
    class SomeModule(eqx.Module):
        def __call__(self, m, n):
            return m - 2 * jnp.sum(n)

    model = tg.Model(SomeModule())
    a, b = numbers(5, 3), numbers(5, 2, seed=1)
    y_pred = model.predict(x=(a, b))
    np.testing.assert_allclose(y_pred, a - 2 * b.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-5)
    with pytest.raises(tg.InjectionError, match="takes 2 inputs, and `x` is a tuple of 3"):
        model.predict(x=(a, b, a))


def test_modules_losses_metrics_module_of_a_dict():
    class SomeModule(eqx.Module):
        def __call__(self, n, o):
            return n - 2 * o

    class AllOfThem(eqx.Module):
        def __call__(self, **kwargs):
            return kwargs

    a, b, c = numbers(5, 2), numbers(5, 2, seed=1), numbers(5, 2, seed=2)
    y_pred = tg.Model(SomeModule()).predict(x={"m": a, "n": b, "o": c})
    np.testing.assert_allclose(y_pred, b - 2 * c, rtol=1e-6)
    assert set(tg.Model(AllOfThem()).predict(x={"m": a, "n": b, "o": c})) == {"m", "n", "o"}


class MSE(tg.Loss):
    def call(self, y_true, y_pred):
        return jnp.mean(jnp.square(y_true - y_pred), axis=-1)


def test_modules_losses_metrics_mse():
    X_train = numbers(40, 4)
    y_train = X_train @ numbers(4, 2, seed=1)
    model = tg.Model(
        eqx.nn.Linear(4, 2, key=jax.random.key(0)),
        loss=MSE(),
        optimizer=optax.adam(1e-1),
    )
    before = model.evaluate(X_train, y_train)["mse_loss"]
    np.testing.assert_allclose(before, np.mean((y_train - model.predict(X_train)) ** 2), rtol=1e-5)
    model, history = model.fit(x=X_train, y=y_train, epochs=20, batch_size=8)
    assert history.history["loss"][-1] < 0.1 * before


class AutoEncoderLoss(tg.Loss):
    def call(self, x, y_pred):
        return jnp.mean(jnp.square(x - y_pred), axis=-1)


def test_modules_losses_metrics_auto_encoder(digits):
    X_train = digits[0].reshape(-1, 64).astype(np.float32) / 255
    model = tg.Model(
        eqx.nn.MLP(64, 64, 16, 1, key=jax.random.key(0)),
        loss=AutoEncoderLoss(),
        optimizer=optax.adam(1e-2),
    )
    _, history = model.fit(x=X_train, epochs=3, batch_size=64)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert list(history.history) == ["loss", "auto_encoder_loss"]
    # "An alternative here is to just use the previous definition of `MSE` and define `y=X_train`."
    _, same = model.replace(loss=MSE()).fit(x=X_train, y=X_train, epochs=3, batch_size=64)
    np.testing.assert_allclose(same.history["mse_loss"], history.history["auto_encoder_loss"], rtol=1e-6)


def test_modules_losses_metrics_partitioned_loss():
    class Summed(tg.Loss):
        def call(self, x, y_true, y_pred, parameters, training):
            a = jnp.mean((y_true - y_pred) ** 2, axis=-1)
            b = 0.1 * jnp.mean(jnp.abs(x), axis=-1)
            c = 0.01 * sum(jnp.sum(jnp.abs(p)) for p in jax.tree.leaves(parameters)) * jnp.ones_like(a)
            return a + b + c

    class SomeComplexFunction(tg.Loss):
        def call(self, x, y_true, y_pred, parameters, training):
            a = jnp.mean((y_true - y_pred) ** 2, axis=-1)
            b = 0.1 * jnp.mean(jnp.abs(x), axis=-1)
            c = 0.01 * sum(jnp.sum(jnp.abs(p)) for p in jax.tree.leaves(parameters)) * jnp.ones_like(a)
            return {
                "a": a,
                "b": b,
                "c": c,
            }

    x, y = numbers(20, 3), numbers(20, 2, seed=1)
    weight = np.linspace(0, 2, 20, dtype=np.float32)
    module = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    optimizer = optax.sgd(1e-2)
    for reduction, divided_by in (("sum_over_batch_size", 20), ("weighted_mean", weight.sum()), ("sum", 1)):
        model = tg.Model(module, loss=SomeComplexFunction(reduction=reduction), optimizer=optimizer)
        logs = model.evaluate(x, y, sample_weight=weight, batch_size=8)
        names = [f"some_complex_function_loss/{part}" for part in "abc"]
        assert list(logs) == ["loss", *names]
        a = np.mean((y - np.asarray(model.predict(x))) ** 2, axis=-1)
        b = 0.1 * np.mean(np.abs(x), axis=-1)
        c = 0.01 * sum(np.abs(p).sum() for p in jax.tree.leaves(module)) * np.ones(20)
        for name, values in zip(names, (a, b, c), strict=True):
            np.testing.assert_allclose(logs[name], (weight * values).sum() / divided_by, rtol=1e-5)
        np.testing.assert_allclose(logs["loss"], (weight * (a + b + c)).sum() / divided_by, rtol=1e-5)

    parts, history = tg.Model(module, loss=SomeComplexFunction(), optimizer=optimizer).fit(x, y, epochs=2)
    whole, _ = tg.Model(module, loss=Summed(), optimizer=optimizer).fit(x, y, epochs=2)
    assert {"some_complex_function_loss/a", "some_complex_function_loss/b"} < set(history.history)
    np.testing.assert_allclose(parts.module.weight, whole.module.weight, rtol=1e-5)


def test_modules_losses_metrics_one_output_and_one_label(digits):
    X_train, y_train = digits[0].reshape(-1, 64) / np.float32(255), np.eye(10, dtype=np.float32)[digits[1]]
    model = tg.Model(
        eqx.nn.Linear(64, 10, key=jax.random.key(0)),
        loss=tg.losses.CategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.CategoricalAccuracy(),
        optimizer=optax.adam(1e-2),
    )
    model, history = model.fit(X_train, y_train, epochs=10, batch_size=64)
    assert history.history["loss"] == sorted(history.history["loss"], reverse=True)
    logs = model.evaluate(X_train, y_train)
    assert logs["categorical_accuracy"] > 0.9
    expected = softmax_crossentropy(model.predict(X_train), digits[1]).mean()
    np.testing.assert_allclose(logs["categorical_crossentropy_loss"], expected, rtol=1e-5)


def test_modules_losses_metrics_many_outputs_and_labels():
    def some_function(label_a, output_a, label_b):
        return (jax.nn.sigmoid(output_a) - label_a) ** 2 * (1 + label_b)

    class MyLoss(tg.Loss):
        def call(self, y_true, y_pred):
            return some_function(y_true["label_a"], y_pred["output_a"], y_true["label_b"])

    x = numbers(30, 4)
    y = {"label_a": (x[:, :1] > 0).astype(np.float32), "label_b": np.abs(x[:, 1:2])}
    model = tg.Model(TwoOutputs(), loss=MyLoss(), optimizer=optax.adam(1e-1))
    a = np.asarray(model.predict(x)["output_a"])
    expected = np.mean((1 / (1 + np.exp(-a)) - y["label_a"]) ** 2 * (1 + y["label_b"]))
    np.testing.assert_allclose(model.evaluate(x, y)["my_loss"], expected, rtol=1e-5)
    model, history = model.fit(x, y, epochs=10, batch_size=10)
    assert history.history["loss"][-1] < 0.5 * expected


class MyModule(eqx.Module):
    a: eqx.nn.Linear
    b: eqx.nn.Linear

    def __init__(self):
        self.a = eqx.nn.Linear(3, 1, key=jax.random.key(0))
        self.b = eqx.nn.Linear(3, 2, key=jax.random.key(1))

    def __call__(self, x):
        key_a = jax.nn.sigmoid(self.a(x))
        key_b = self.b(x)
        return {
            "key_a": key_a,
            "key_b": key_b,
        }


def test_modules_losses_metrics_keras_like_behavior(standard_promotion):
    keras = pytest.importorskip("keras")

    x = numbers(24, 3)
    y = {"key_a": (x[:, :1] > 0).astype(np.float32), "key_b": x[:, :2] - x[:, 1:]}

    model = tg.Model(
        module=MyModule(),
        loss=[
            tg.losses.BinaryCrossentropy(on="key_a", weight=10.0),
            tg.losses.MeanSquaredError(on="key_b", weight=1.0),
        ],
        optimizer=optax.adam(3e-2),
    )
    logs = model.evaluate(x, y, batch_size=7)
    y_pred = model.predict(x)
    with standard_promotion():
        a = float(keras.losses.BinaryCrossentropy()(y["key_a"], y_pred["key_a"]))
        b = float(keras.losses.MeanSquaredError()(y["key_b"], y_pred["key_b"]))
    np.testing.assert_allclose(logs["loss"], 10 * a + b, rtol=1e-5)

    # The same by indexing by hand.
    by_hand = tg.Model(
        module=MyModule(),
        loss=[
            lambda y_true, y_pred: tg.losses.BinaryCrossentropy(weight=10.0)(
                y_true=y_true["key_a"],
                y_pred=y_pred["key_a"],
            ),
            lambda y_true, y_pred: tg.losses.MeanSquaredError(weight=1.0)(
                y_true=y_true["key_b"],
                y_pred=y_pred["key_b"],
            ),
        ],
        optimizer=model.optimizer,
    )
    np.testing.assert_allclose(by_hand.evaluate(x, y, batch_size=7)["loss"], logs["loss"], rtol=1e-5)
    model, history = model.fit(x, y, epochs=5, batch_size=6)
    by_hand, same = by_hand.fit(x, y, epochs=5, batch_size=6)
    assert history.history["loss"][-1] < history.history["loss"][0]
    np.testing.assert_allclose(same.history["loss"], history.history["loss"], rtol=1e-5)


def test_modules_losses_metrics_accuracy():
    class Accuracy(tg.Metric):
        def call(self, y_true, y_pred):
            return y_true == y_pred

    class Rounded(eqx.Module):
        def __call__(self, x):
            return jnp.round(x)

    x = np.array([0.1, 0.9, 1.2, 1.8, 2.2, 0.4, 0.6], np.float32)
    y = np.array([0, 1, 1, 2, 1, 0, 0], np.float32)
    model = tg.Model(Rounded(), metrics=Accuracy())
    assert model.evaluate(x, y, batch_size=3) == {"accuracy": pytest.approx(5 / 7)}
    model, logs = model.test_on_batch(x[:4], y[:4])
    assert float(logs["accuracy"]) == 1
    model, logs = model.test_on_batch(x[4:], y[4:])
    assert float(logs["accuracy"]) == pytest.approx(5 / 7)
