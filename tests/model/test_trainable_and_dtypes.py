"""Which leaves are trained, and which dtypes they and the data have."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import linear
from helpers.linear_models import X, Y, arrays, fitted, identical, mlp, moments, predicted, regression

# What is trained


@pytest.mark.parametrize(
    "trainable, frozen",
    [
        (lambda leaf: eqx.is_inexact_array(leaf) and leaf.ndim == 2, lambda m: [layer.bias for layer in m.layers]),
        (lambda leaf: leaf.ndim == 2, lambda m: [layer.bias for layer in m.layers]),
        (
            eqx.tree_at(lambda m: m.layers[0], jax.tree.map(lambda _: True, mlp()), False),
            lambda m: [m.layers[0].weight, m.layers[0].bias],
        ),
        (
            eqx.tree_at(lambda m: m.layers[1], jax.tree.map(lambda _: False, mlp()), eqx.is_inexact_array),
            lambda m: [m.layers[0].weight, m.layers[0].bias],
        ),
    ],
    ids=["function", "function of arrays", "tree of booleans", "tree with a function"],
)
def test_what_is_frozen_stays_to_the_last_bit(trainable, frozen):
    model = regression(mlp(), trainable=trainable)
    trained = fitted(model, epochs=3)
    assert identical(frozen(trained.module), frozen(model.module))
    assert jax.tree.leaves(frozen(trained.parameters)) == []
    assert jax.tree.leaves(frozen(moments(trained))) == []
    for before, after in zip(jax.tree.leaves(model.parameters), jax.tree.leaves(trained.parameters), strict=True):
        assert not np.array_equal(before, after)


def test_all_of_it_can_be_frozen_for_evaluating():
    model = regression(trainable=False)
    assert jax.tree.leaves(model.parameters) == []
    assert model.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(
        np.mean((predicted(model.module) - Y) ** 2), rel=1e-5
    )


def test_integers_are_no_parameters():
    class Counted(eqx.Module):
        linear: eqx.nn.Linear
        table: jax.Array

        def __call__(self, x):
            return self.linear(x) + self.table.astype(jnp.float32)

    model = regression(Counted(linear(), jnp.arange(2)), trainable=lambda _: True)
    trained = fitted(model)
    assert identical(trained.module.table, jnp.arange(2))


def test_module_that_is_any_pytree():
    class Gan(tg.Model):
        def pred_step(self, x, states):
            return jax.vmap(self.module["generator"])(x), states

    nets = {"generator": linear(), "discriminator": linear(2, 1)}
    model = Gan(nets, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
    trained = fitted(model)
    assert not np.array_equal(trained.module["generator"].weight, nets["generator"].weight)
    assert np.array_equal(trained.module["discriminator"].weight, nets["discriminator"].weight)


# Dtypes


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision(dtype):
    class Half(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            return self.linear(x.astype(dtype))

    module = Half(jax.tree.map(lambda leaf: leaf.astype(dtype), linear()))
    model = regression(module, metrics=tg.metrics.MeanAbsoluteError())
    trained, history = model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    assert trained.module.linear.weight.dtype == dtype
    assert not np.array_equal(trained.module.linear.weight, module.linear.weight)
    assert trained.predict(X).dtype == dtype
    trained, logs = trained.train_on_batch(X, Y)
    assert {leaf.dtype for leaf in logs.values()} == {jnp.dtype("float32")}
    assert history.history["loss"][-1] < history.history["loss"][0]
    y_pred = np.asarray(trained.predict(X), np.float64)
    expected = np.mean((y_pred - Y) ** 2)
    # XLA may keep more bits than `predict` can return.
    assert trained.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    "given, expected",
    [
        ("f8", "float32"),
        ("i8", "int32"),
        ("u8", "uint32"),
        ("f2", "float16"),
        ("i1", "int8"),
        ("?", "bool"),
        ("f4", "float32"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_only_64_bits_become_32(given, expected, method):
    seen = []

    def module(x):
        seen.append(x.dtype)
        return x

    y = getattr(tg.Model(module), method)(np.abs(10 * X).astype(given))
    assert y.dtype == expected and set(seen) == {jnp.dtype(expected)}


def test_64_bits_train_as_32():
    a, b = fitted(regression(), X.astype(np.float64), Y.astype(np.float64)), fitted(regression())
    assert identical(arrays(a), arrays(b))
