"""Values belong to examples: a loss or metric whose values don't have the batch first is refused, or told."""

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import Same

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)


def over_the_batch(y_true, y_pred):  # `axis=0` where `axis=-1` was meant
    return jnp.mean(jnp.abs(y_true - y_pred), axis=0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("features", [1, 3, 4, 5, 8, 10])
@pytest.mark.parametrize("size", [1, 4, 5, 10])
@pytest.mark.parametrize("kind", ["loss", "metrics"])
def test_a_reduction_over_the_batch_is_refused(features, size, kind):
    """Whether or not the batch has as many examples as there are features."""
    x = numbers(10, features)
    model = tg.Model(Same(), **cast(Any, {kind: over_the_batch}))
    with pytest.raises(tg.ContractError, match=r"`over_the_batch(_loss)?` .*one value per example .*`axis=0`"):
        model.evaluate(x, 2 * x, batch_size=size, verbose=0)


@pytest.mark.parametrize("part", ["values", "masked", "a part"])
def test_whatever_it_returns(part):
    def loss(y_true, y_pred):
        values = over_the_batch(y_true, y_pred)
        return {"values": values, "masked": tg.Masked(values, values > 0), "a part": {"all": values}}[part]

    x = numbers(4, 4)
    with pytest.raises(tg.ContractError, match="one value per example"):
        tg.Model(Same(), loss=loss).evaluate(x, x, verbose=0)


@pytest.mark.parametrize(
    "values",
    {
        "per example": lambda d: jnp.mean(d, axis=-1),
        "per element": lambda d: d,
        "a scalar": jnp.mean,
        "flattened": lambda d: d.reshape(-1),
    }.values(),
    ids=["per example", "per element", "a scalar", "flattened"],
)
@pytest.mark.parametrize("shape", [(8, 8), (8, 3), (3, 3), (1, 1), (6, 2)])
def test_what_belongs_to_examples_is_averaged_over_them(values, shape):
    def loss(y_true, y_pred):
        return values((y_true - y_pred) ** 2)

    x, y = numbers(*shape), numbers(*shape)
    found = tg.Model(Same(), loss=loss).evaluate(x, y, batch_size=shape[0], verbose=0)["loss"]
    assert found == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)


def test_what_reads_no_examples_may_have_any_shape():
    net = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    model = tg.Model(net, loss=lambda parameters: jnp.abs(parameters.weight).sum(axis=0))
    assert model.evaluate(numbers(5, 3), verbose=0)["loss"] > 0


# Broadcast labels


def squared(y_true, y_pred):
    return (y_true - y_pred) ** 2


TOLD = (
    r"`squared_loss` \(squared\) returned values f32\[\d+,\d+\], which compare each of \d+ examples with each: is "
    r"`y_true` f32\[\d+\] against `y_pred` f32\[\d+,1\] broadcast\?"
)


@pytest.mark.standard_promotion
@pytest.mark.parametrize("size", [1, 4, 16])
@pytest.mark.parametrize("method", ["check", "fit", "evaluate"])
def test_labels_that_are_broadcast_are_told(method, size):
    net = eqx.nn.Linear(4, 1, key=jax.random.key(0))
    model = tg.Model(net, loss=squared, optimizer=optax.sgd(0.1))
    x, y = numbers(size, 4), numbers(size)
    arguments = {} if method == "check" else {"batch_size": size, "verbose": 0}
    with pytest.warns(UserWarning, match=TOLD):
        getattr(model, method)(x, y, **arguments)


@pytest.mark.standard_promotion
def test_the_other_way_round_too():
    model = tg.Model(lambda x: x[0], loss=squared)
    with pytest.warns(UserWarning, match=r"`y_true` f32\[5,1\] against `y_pred` f32\[5\]"):
        model.evaluate(numbers(5, 4), numbers(5, 1), verbose=0)


@pytest.mark.standard_promotion
def test_doubts_list_it():
    model = tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)), loss=squared)
    found = tg.debug.doubts(model, numbers(6, 4), numbers(6))
    assert any("compare each of 6 examples with each" in doubt for doubt in found)


def test_same_shapes_are_not_doubted(recwarn):
    model = tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)), loss=squared)
    model.evaluate(numbers(4, 4), numbers(4, 1), verbose=0)
    assert not tg.debug.doubts(model, numbers(4, 4), numbers(4, 1)) and not recwarn.list


def first_against_all(y_true, y_pred):  # (n,) - (n, k), which is a shape of a batch where k is n
    return (y_true[:, 0] - y_pred) ** 2


@pytest.mark.standard_promotion
@pytest.mark.parametrize("kind", ["loss", "metrics"])
@pytest.mark.parametrize("masked", [False, True])
def test_features_that_are_broadcast_against_as_many_examples_are_told(kind, masked):
    def values(y_true, y_pred):
        found = first_against_all(y_true, y_pred)
        return tg.Masked(found, found > 0) if masked else found

    x = numbers(4, 4)
    with pytest.warns(UserWarning, match=r"f32\[4,4\], and fails for batches of another size than 4: is `y_true` f32"):
        tg.Model(Same(), **cast(Any, {kind: values})).evaluate(x, 2 * x, verbose=0)


def test_functions_of_even_batches_are_not_doubted(recwarn):
    def pairs(y_pred):
        halves = y_pred.reshape(2, -1, y_pred.shape[-1])
        return jnp.concatenate([halves[0] - halves[1]] * 2)

    tg.Model(Same(), loss=pairs).evaluate(numbers(4, 4), verbose=0)
    assert not recwarn.list


def test_functions_that_look_at_values_are_not_doubted(recwarn):
    def loss(y_pred):
        return y_pred if float(y_pred[0, 0]) > 100 else 2 * y_pred

    tg.Model(Same(), loss=loss, run_eagerly=True).evaluate(numbers(4, 4), verbose=0)
    assert not recwarn.list
