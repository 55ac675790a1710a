"""Weights of single elements, in every loss and metric that averages elements, against NumPy in float64."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import Same, mostly_slow
from helpers.every_loss_and_metric import data_for, make

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N, D = 11, 3
WEIGHT = RNG.uniform(0.5, 2, (N, D)).astype("float32") * RNG.integers(0, 2, (N, D))


def found_in(package: Any, base: type[Any]) -> list[type[Any]]:
    classes = [
        cls
        for cls in (getattr(package, name) for name in sorted(dir(package)))
        if isinstance(cls, type) and issubclass(cls, base)
    ]
    return [cls for cls in classes if cls.elementwise]


# Of one array, or a mean and a variance: these are tried in models, which takes a while, and the others by a call.
BY_MODEL = {
    *("BinaryCrossentropy", "BinaryFocalCrossentropy", "GaussianNLL", "Hinge", "Huber", "LogCosh", "LogCoshError"),
    *("MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError"),
    *("Poisson", "Quantile", "RootMeanSquaredError", "SigmoidFocal", "SquaredHinge"),
}
FOUND = [found_in(tg.losses, tg.Loss), found_in(tg.metrics, tg.Metric)]
LOSSES, METRICS = ([cls for cls in found if cls.__name__ in BY_MODEL] for found in FOUND)
OTHERS = [cls for found in FOUND for cls in found if cls.__name__ not in BY_MODEL]


def data(cls: type[Any]) -> tuple[Any, np.ndarray]:
    """Predictions and labels that suit all of them: from 0 to 1, and 0 or 1."""
    rng = np.random.default_rng(1)
    p, y = rng.uniform(0.1, 0.9, (N, D)).astype("float32"), rng.integers(0, 2, (N, D)).astype("float32")
    return ([p, p + 1] if cls.__name__ == "GaussianNLL" else p), y


def elements(cls: type[Any]) -> np.ndarray:
    """What each element contributes: the loss or metric of one element at a time, without any averaging."""
    x, y = data(cls)
    flat = jax.tree.map(lambda a: a.reshape(-1), x)
    # A loss of one axis has a value for each of its examples.
    loss = getattr(tg.losses, LOSS_OF.get(cls.__name__, cls.__name__))(reduction="none")
    return np.asarray(loss(y_true=y.reshape(-1), y_pred=flat), np.float64).reshape(N, D)


LOSS_OF = {"LogCoshError": "LogCosh", "RootMeanSquaredError": "MeanSquaredError"}


def test_those_that_average_elements_are_found():
    """All of these have a last axis that their formula is averaged over (docs/losses.md)."""
    names = (
        "BinaryCrossentropy BinaryFocalCrossentropy GaussianNLL Hinge Huber LogCosh MeanAbsoluteError "
        "MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson Quantile SigmoidFocal "
        "SquaredHinge"
    )
    assert sorted(cls.__name__ for cls in LOSSES) == names.split()
    names = (
        "AsymmetricLoss BetaNLL Boundary Charbonnier EnsembleCRPS EvidentialRegression GaussianCRPS MixtureDensityNLL "
        "NegativeBinomialNLL QuantileCRPS StudentNLL TweedieDeviance ZeroInflatedNLL"
    )
    assert sorted(cls.__name__ for cls in OTHERS if issubclass(cls, tg.Loss)) == names.split()


def test_others():
    """Against the mean of what each element gives alone, as an example of its own; missing labels have weight 0."""
    given = {cls: data_for(cls, N) for cls in OTHERS}

    @jax.jit
    def run(given: Any, w: Any) -> Any:
        found = []
        for cls, values in zip(OTHERS, given, strict=True):
            it = make(cls, {"reduction": "weighted_mean"} if issubclass(cls, tg.Loss) else {})
            flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), values)
            labels = values["y_true"]
            if jnp.issubdtype(labels.dtype, jnp.floating):
                labels = jnp.where(w == 0, jnp.nan, labels)
            value = it(**{**values, "y_true": labels}, sample_weight=w)
            value = value if isinstance(it, tg.Loss) else value.compute()
            found.append((value, jnp.sum(w.reshape(-1) * it.call(**flat)) / jnp.sum(w)))
        return found

    for cls, (value, expected) in zip(OTHERS, run(list(given.values()), WEIGHT), strict=True):
        assert float(value) == pytest.approx(float(expected), rel=1e-4), cls


@pytest.mark.parametrize("cls", mostly_slow(LOSSES))
@pytest.mark.parametrize("size", [4, pytest.param(N, marks=pytest.mark.slow)])
def test_losses(cls, size):
    x, y = data(cls)
    each, w = elements(cls), WEIGHT.astype(np.float64)
    expected = {
        "sum_over_batch_size": np.sum(np.sum(w * each, axis=-1) / D) / N,
        "weighted_mean": np.sum(w * each) / np.sum(w),
        "sum": np.sum(np.sum(w * each, axis=-1) / D),
    }
    for reduction, value in expected.items():
        model = tg.Model(Same(), loss=cls(reduction=reduction))
        logs = model.evaluate(x, y, sample_weight=WEIGHT, batch_size=size, verbose=0)
        assert logs["loss"] == pytest.approx(value, rel=1e-4), reduction
    values = cls(reduction="none")(y_true=y, y_pred=x, sample_weight=WEIGHT)
    np.testing.assert_allclose(values, np.sum(w * each, axis=-1) / D, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cls", METRICS)
@pytest.mark.parametrize("size", [4, pytest.param(N, marks=pytest.mark.slow)])
def test_metrics(cls, size):
    x, y = data(cls)
    each, w = elements(cls), WEIGHT.astype(np.float64)
    expected = np.sum(w * each) / np.sum(w)
    expected = np.sqrt(expected) if cls.__name__ == "RootMeanSquaredError" else expected
    logs = tg.Model(Same(), metrics=cls(name="it")).evaluate(x, y, sample_weight=WEIGHT, batch_size=size, verbose=0)
    assert logs["it"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("cls", mostly_slow(LOSSES))
def test_a_label_of_weight_0_may_be_missing(cls):
    x, y = data(cls)
    missing = np.where(WEIGHT == 0, np.nan, y).astype("float32")
    model = tg.Model(Same(), loss=cls())
    expected = model.evaluate(x, y, sample_weight=WEIGHT, verbose=0)["loss"]
    assert model.evaluate(x, missing, sample_weight=WEIGHT, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)
    gradient = jax.grad(lambda x: cls()(y_true=jnp.asarray(missing), y_pred=x, sample_weight=WEIGHT))(x)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_training_on_some_labels_is_training_on_these():
    """Against a loop by hand, which leaves the terms of missing labels out."""
    net = eqx.nn.Linear(4, D, key=jax.random.key(0))
    x, y = RNG.normal(size=(N, 4)).astype("float32"), RNG.normal(size=(N, D)).astype("float32")
    known = RNG.integers(0, 2, (N, D)).astype(bool)

    def by_hand(net):
        return jnp.sum(jnp.where(known, (jax.vmap(net)(x) - y) ** 2, 0)) / (N * D)

    expected = net
    for _ in range(3):
        grads = eqx.filter_grad(by_hand)(expected)
        expected = jax.tree.map(lambda p, g: p - 0.1 * g, expected, grads)
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
    labels, weight = np.where(known, y, np.nan), known.astype("float32")
    trained, _ = model.fit(x, labels, sample_weight=weight, batch_size=N, epochs=3, verbose=0)
    np.testing.assert_allclose(trained.module.weight, expected.weight, rtol=1e-4, atol=1e-6)


def test_of_quantiles_all_have_the_weight_of_their_element():
    loss = tg.losses.Quantile(q=[0.25, 0.75])
    y, x = data(tg.losses.Quantile)[1], RNG.uniform(size=(N, D, 2)).astype("float32")
    e = y[..., None] - x.astype(np.float64)
    each = np.mean(np.maximum(np.array([0.25, 0.75]) * e, np.array([-0.75, -0.25]) * e), axis=-1)
    assert loss(y_true=y, y_pred=x, sample_weight=WEIGHT) == pytest.approx(np.sum(WEIGHT * each) / (N * D), rel=1e-5)


def test_within_wrappers():
    side = lambda y_pred: (jnp.mean(y_pred, axis=-1) > 0.5).astype(jnp.int32)  # noqa: E731
    x, y = data(tg.losses.MeanSquaredError)
    metric = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(), by=side, num_groups=2, name="it")
    logs = tg.Model(Same(), metrics=metric).evaluate(x, y, sample_weight=WEIGHT, batch_size=4, verbose=0)
    for group in (0, 1):
        rows = (np.mean(x, axis=-1) > 0.5) == group
        expected = np.sum((WEIGHT * (x - y) ** 2)[rows]) / np.sum(WEIGHT[rows])
        assert logs["it"][group] == pytest.approx(expected, rel=1e-4)


class Own(tg.Loss):
    elementwise = True

    def call(self, y_true, y_pred):
        return jnp.mean(jnp.abs(y_true - y_pred), axis=-1)


def test_a_loss_of_ones_own_can_say_that_it_averages_elements():
    x, y = data(Own)
    expected = np.sum(WEIGHT * np.abs(x - y)) / (N * D)
    assert Own()(y, x, sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-5)


def test_others_say_how_it_is_done():
    x, y = data(Own)
    model = tg.Model(Same(), loss=tg.losses.CosineSimilarity())
    with pytest.raises(tg.ContractError, match="Weights of single elements .* can return `tg.Masked` values"):
        model.evaluate(x, y, sample_weight=WEIGHT, verbose=0)


# Weights by output


def test_on_selects_from_weights_by_output():
    x, y = data(Own)
    losses = [tg.losses.MeanSquaredError(on=name, name=name) for name in "ab"]
    model = tg.Model(lambda x: {"a": x, "b": 2 * x}, loss=losses, metrics=tg.metrics.MeanAbsoluteError(on="b"))
    a, b = RNG.uniform(size=N).astype("float32"), WEIGHT
    logs = model.evaluate(x, {"a": y, "b": y}, sample_weight={"a": a, "b": b}, batch_size=4, verbose=0)
    assert logs["a_loss"] == pytest.approx(np.mean(a * np.mean((x - y) ** 2, axis=-1)), rel=1e-4)
    assert logs["b_loss"] == pytest.approx(np.sum(b * (2 * x - y) ** 2) / (N * D), rel=1e-4)
    assert logs["mean_absolute_error"] == pytest.approx(np.sum(b * np.abs(2 * x - y)) / np.sum(b), rel=1e-4)


def test_an_output_without_weights_counts_once():
    x, y = data(Own)
    losses = [tg.losses.MeanSquaredError(on=name, name=name) for name in "ab"]
    model = tg.Model(lambda x: {"a": x, "b": x}, loss=losses)
    logs = model.evaluate(x, {"a": y, "b": y}, sample_weight={"a": np.zeros(N, "f4"), "b": None}, verbose=0)
    assert logs["a_loss"] == 0 and logs["b_loss"] == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)


# Inputs that are absent


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axes", [1, 2])
def test_inputs_of_weight_0_reach_neither_parameters_nor_statistics(bad, axes):
    """Training is what it is where the input of the absent example is 0, and finite inputs stay what they are."""
    net, state = eqx.nn.make_with_state(Normed)(jax.random.key(0))
    model = tg.Model(net, state=state, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
    x, y = RNG.normal(size=(N, 4)).astype("float32"), RNG.normal(size=(N, D)).astype("float32")
    x[2, 1:] = 0
    weight = np.ones(N if axes == 1 else (N, D), "float32")
    weight[2] = 0
    spoiled = x.copy()
    spoiled[2, 1:] = bad
    expected, _ = model.fit(x, y, sample_weight=weight, batch_size=N, epochs=2, verbose=0)
    trained, history = model.fit(spoiled, y, sample_weight=weight, batch_size=N, epochs=2, verbose=0)
    assert np.isfinite(history["loss"]).all()
    for a, b in zip(jax.tree.leaves(trained.parameters), jax.tree.leaves(expected.parameters), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(trained.state), jax.tree.leaves(expected.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


class Normed(eqx.Module):
    norm: eqx.nn.BatchNorm
    linear: eqx.nn.Linear

    def __init__(self, key):
        self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.linear = eqx.nn.Linear(4, D, key=key)

    def __call__(self, x, state):
        x, state = self.norm(x, state)
        return self.linear(x), state
