"""What a module is given: the structures of `x`, and what it asks for by name."""

import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import Node, Record, linear
from helpers.linear_models import X, Y, fitted, predicted


class Axes(eqx.Module):
    """Says how many axes it was given."""

    linear: eqx.nn.Linear

    def __call__(self, x):
        return (self.linear(x) if x.ndim == 1 else jax.vmap(self.linear)(x)), jnp.full(x.shape[:-1], x.ndim)


def test_modules_take_an_example_or_a_batch():
    one, whole = tg.Model(Axes(linear())), tg.Model(Axes(linear()), batched=True)
    y, ndim = one.predict(X, batch_size=4)
    y_whole, ndim_whole = whole.predict(X, batch_size=4)
    assert np.all(ndim == 1) and np.all(ndim_whole == 2)
    assert np.allclose(y, y_whole, atol=1e-6)


def test_batched_modules_see_their_batch_only():
    class Normalized(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            return jax.vmap(self.linear)(x - jnp.mean(x, axis=0, keepdims=True))

    model = tg.Model(Normalized(linear()), batched=True)
    expected = [predicted(model.module.linear, part - part.mean(0)) for part in (X[:4], X[4:8], X[8:])]
    assert np.allclose(model.predict(X, batch_size=4), np.concatenate(expected), atol=1e-5)


def test_example_modules_can_reduce_over_the_batch():
    model = tg.Model(lambda x: x - jax.lax.pmean(x, "batch"))
    assert np.allclose(model.predict(X), X - X.mean(0), atol=1e-6)


class Point(NamedTuple):
    a: Any
    b: Any


def both(a, b):
    return a - b


def by_field(value):
    return value.a - value.b


@pytest.mark.parametrize(
    "x, module",
    [
        ((X, 2 * X), both),
        ({"a": X, "b": 2 * X}, both),
        ({"b": 2 * X, "a": X, "unused": X}, both),
        ([X, 2 * X], lambda value: value[0] - value[1]),
        (Point(X, 2 * X), by_field),
        (Record(X, 2 * X), by_field),
        (Node(X, 2 * X), by_field),
        (((X, 2 * X),), lambda pair: pair[0] - pair[1]),
        ({"pair": (X, 2 * X)}, lambda pair: pair[0] - pair[1]),
        ({"a": {"deep": X}, "b": 2 * X}, lambda a, b: a["deep"] - b),
        ((X, 2 * X), lambda *args: args[0] - args[1]),
        ({"a": X, "b": 2 * X}, lambda **kwargs: kwargs["a"] - kwargs["b"]),
        ((X, 2 * X), lambda a, /, b, *, c=None, key=None: a - b),
        (-X, lambda x: x),
    ],
)
@pytest.mark.parametrize("on_batch", [False, True])
def test_structures_of_x(x, module, on_batch):
    model = tg.Model(module)
    y = model.predict_on_batch(x) if on_batch else model.predict(x, batch_size=4)
    assert np.array_equal(y, -X)


def test_keywords_take_all_keys_and_nothing_else():
    seen = {}

    def module(a, **others):
        seen.update(others)
        return a

    tg.Model(module).predict({"a": X, "b": X, "training_": X})
    assert sorted(seen) == ["b", "training_"]


def test_a_key_of_x_wins_over_what_treegy_provides():
    def module(x, key, training):
        return x + key + training

    y = tg.Model(module).predict({"x": X, "key": X, "training": 2 * X})
    assert np.allclose(y, 4 * X)


def test_what_a_module_can_ask_for():
    seen: dict[str, Any] = {}

    def module(x, training, initializing, parameters, states, key):
        seen.update(training=training, initializing=initializing, states=set(states), key=key.shape)
        return x

    tg.Model(module).predict(X)
    assert seen["training"] is False and seen["initializing"] is False and seen["key"] == ()
    assert {"rng", "net_params"} <= seen["states"]


def test_a_default_is_what_is_taken_where_there_is_nothing():
    assert np.array_equal(tg.Model(lambda x, scale=3: scale * x).predict(X), 3 * X)


def test_a_module_without_inputs():
    class Constant(eqx.Module):
        value: jax.Array

        def __call__(self):
            return self.value

    class Mine(tg.Model):
        def pred_step(self, x, states):
            return jnp.broadcast_to(self.module(), (x.shape[0], 2)), states

    model = Mine(Constant(jnp.zeros(2)), loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.5))
    assert np.allclose(fitted(model, batch_size=10, epochs=30).module.value, Y.mean(0), atol=1e-5)


@pytest.mark.parametrize(
    "y, module, on",
    [
        ({"a": Y, "b": X}, lambda x: {"a": x[:2], "b": x}, "a"),
        ((X, Y), lambda x: (x, x[:2]), 1),
        ([X, {"a": Y}], lambda x: [x, {"a": x[:2]}], (1, "a")),
        (Point(Y, X), lambda x: Point(x[:2], x), "a"),
        (Point(Y, X), lambda x: Point(x[:2], x), 0),
        (Record(Y, X), lambda x: Record(x[:2], x), "a"),
        (Y, lambda x: {"a": x[:2]}, {"y_pred": "a"}),
        ({"b": Y}, lambda x: (x, x[:2]), {"y_pred": 1, "y_true": "b"}),
    ],
)
def test_structures_of_y_and_on(y, module, on):
    model = tg.Model(module, loss=tg.losses.MeanSquaredError(on=on), metrics=tg.metrics.MeanAbsoluteError(on=on))
    logs = model.evaluate(X, y, batch_size=4, verbose=0)
    assert logs["loss"] == pytest.approx(np.mean((Y - X[:, :2]) ** 2), rel=1e-5)
    assert logs["mean_absolute_error"] == pytest.approx(np.mean(np.abs(Y - X[:, :2])), rel=1e-5)


def test_on_of_what_is_not_read_matters_not():
    model = tg.Model(lambda x: {"a": x}, metrics=tg.metrics.Mean(on="a"))
    assert model.evaluate(X, Y, verbose=0)["mean"] == pytest.approx(X.mean(), abs=1e-6)


def test_a_misspelt_key_of_an_optional_input_is_told():
    def module(image: Any, mask: Any = None) -> Any:
        return image

    model = tg.Model(module)
    x = np.ones((4, 3), "float32")
    with pytest.warns(UserWarning, match=r"doesn't ask for `x\['maks'\]`, and nothing is .*Did you mean `mask`\?"):
        model.predict({"image": x, "maks": x})
    # What a loss may read, and what is given.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict({"image": x, "label": x})
        model.predict({"image": x, "mask": x, "masks": x})
