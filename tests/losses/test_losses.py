"""Losses against Keras 3, formulas in NumPy float64, and Elegy's published numbers."""

import functools
import inspect
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import ROOT

pytestmark = pytest.mark.once

EPSILON = 1e-7

# Probabilities of three classes.
P = jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])


# Elegy 0.7, docstrings and tests


ZEROS_AND_ONES = jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.array([[1.0, 1.0], [1.0, 0.0]])
SIX_AND_FOUR = jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.array([[0.6, 0.4], [0.4, 0.6]])
ONE_HOT = jnp.array([[0, 1, 0], [0, 0, 1]]), P
INDICES = jnp.array([1, 2]), P


@pytest.mark.parametrize(
    "cls, data, mean, weight, weighted, total, values",
    [
        (tg.losses.BinaryCrossentropy, SIX_AND_FOUR, 0.815, [1.0, 0.0], 0.458, 1.630, [0.916, 0.713]),
        (tg.losses.CategoricalCrossentropy, ONE_HOT, 1.177, [0.3, 0.7], 0.814, 2.354, [0.0513, 2.303]),
        (tg.losses.SparseCategoricalCrossentropy, INDICES, 1.177, [0.3, 0.7], 0.814, 2.354, [0.0513, 2.303]),
        (tg.losses.MeanSquaredError, ZEROS_AND_ONES, 0.5, [0.7, 0.3], 0.25, 1.0, [0.5, 0.5]),
        (tg.losses.MeanAbsoluteError, ZEROS_AND_ONES, 0.5, [0.7, 0.3], 0.25, 1.0, [0.5, 0.5]),
        (tg.losses.Huber, SIX_AND_FOUR, 0.155, [0.8, 0.2], 0.085, 0.31, [0.18, 0.13]),
    ],
)
def test_elegys_numbers(
    cls: Any, data: Any, mean: float, weight: list[float], weighted: float, total: float, values: list[float]
):
    y_true, y_pred = data
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=6e-4)
    close(cls()(y_true, y_pred), mean)
    close(cls()(y_true, y_pred, sample_weight=jnp.array(weight)), weighted)
    close(cls(reduction="sum")(y_true, y_pred), total)
    close(cls(reduction="none")(y_true, y_pred), values)


def test_logits_of_binary_crossentropy_give_elegys_number():
    y_true, y_pred = SIX_AND_FOUR
    logits = jnp.log(y_pred) - jnp.log(1 - y_pred)
    np.testing.assert_allclose(tg.losses.BinaryCrossentropy(from_logits=True)(y_true, logits), 0.815, atol=6e-4)


# Keras 3


def data(kind: str, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    if kind == "numbers":
        return rng.normal(size=(7, 3)).astype("float32"), 2 * rng.normal(size=(7, 3)).astype("float32")
    if kind == "binary":
        return rng.integers(0, 2, (7, 3)), rng.choice([0, 1, *rng.uniform(size=20)], (7, 3)).astype("float32")
    if kind == "binary logits":
        return rng.integers(0, 2, (7, 3)), (10 * rng.normal(size=(7, 3))).astype("float32")
    scores = rng.normal(size=(7, 4)).astype("float32")
    # Not normalised, and with exact zeros: Keras normalises and clips.
    y_pred = scores if "logits" in kind else np.maximum(scores, 0) + np.eye(4, dtype="float32")[np.arange(7) % 4]
    labels = rng.integers(0, 4, 7)
    return (labels if "indices" in kind else np.eye(4)[labels].astype("float32")), y_pred


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("MeanSquaredError", "numbers", {}),
        ("MeanAbsoluteError", "numbers", {}),
        ("Huber", "numbers", {}),
        ("Huber", "numbers", {"delta": 0.3}),
        ("BinaryCrossentropy", "binary", {}),
        ("BinaryCrossentropy", "binary", {"label_smoothing": 0.9}),
        ("BinaryCrossentropy", "binary logits", {"from_logits": True}),
        ("BinaryCrossentropy", "binary logits", {"from_logits": True, "label_smoothing": 0.2}),
        ("CategoricalCrossentropy", "one-hot", {}),
        ("CategoricalCrossentropy", "one-hot", {"label_smoothing": 0.9}),
        ("CategoricalCrossentropy", "one-hot logits", {"from_logits": True}),
        ("CategoricalCrossentropy", "one-hot logits", {"from_logits": True, "label_smoothing": 0.2}),
        ("SparseCategoricalCrossentropy", "indices", {}),
        ("SparseCategoricalCrossentropy", "indices logits", {"from_logits": True}),
    ],
)
def test_equals_keras(name: str, kind: str, options: dict[str, Any], weighted: bool, standard_promotion: Any):
    keras = pytest.importorskip("keras")
    for seed, reduction in enumerate(["sum_over_batch_size", "sum", "none"]):
        y_true, y_pred = data(kind, seed)
        weight = np.random.default_rng(9).uniform(size=7).astype("float32") if weighted else None
        # In float64: in float32 Keras takes logarithms of 1 - (1 - 1e-7), which is 1.19e-7 there.
        with standard_promotion(), jax.enable_x64(True):
            reference = getattr(keras.losses, name)(**options, reduction=reduction, dtype="float64")
            exact = y_true if name.startswith("Sparse") else y_true.astype("float64")
            expected = np.asarray(reference(exact, y_pred.astype("float64"), sample_weight=weight))
        loss = getattr(tg.losses, name)(**options, reduction=reduction)
        got = loss(y_true, y_pred, sample_weight=weight)
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)


# Formulas in float64


def test_formulas_along_time():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=(2, 3, 4, 5))
    e = y_pred - y_true
    expected = {
        tg.losses.mean_squared_error: (e**2).mean(-1),
        tg.losses.mean_absolute_error: np.abs(e).mean(-1),
        tg.losses.huber: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5).mean(-1),
    }
    for fn, values in expected.items():
        got = fn(jnp.asarray(y_true, jnp.float32), jnp.asarray(y_pred, jnp.float32))
        np.testing.assert_allclose(got, values, rtol=1e-5)


def test_weights_line_up_with_the_batch_and_not_with_the_last_axis():
    # Keras 3 multiplies values (batch, time) with weights (batch,) along time.
    y_true, y_pred = jnp.zeros((2, 2, 3)), jnp.array([1.0, 2.0])[:, None, None] * jnp.ones((2, 2, 3))
    loss = tg.losses.MeanSquaredError(reduction="none")
    got = loss(y_true, y_pred, sample_weight=jnp.array([1.0, 10.0]))
    np.testing.assert_allclose(got, [[1, 1], [40, 40]])


def test_values_of_one_dimensional_targets_stay_per_example():
    y_true, y_pred = jnp.array([0.0, 1.0, 1.0]), jnp.array([0.5, 0.25, 1.0])
    np.testing.assert_allclose(tg.losses.mean_squared_error(y_true, y_pred), [0.25, 0.5625, 0])
    np.testing.assert_allclose(tg.losses.mean_absolute_error(y_true, y_pred), [0.5, 0.75, 0])
    np.testing.assert_allclose(tg.losses.huber(y_true, y_pred, delta=0.5), [0.125, 0.25, 0])
    np.testing.assert_allclose(tg.losses.binary_crossentropy(y_true, y_pred), -np.log([0.5, 0.25, 1]), atol=2e-7)
    weighted = tg.losses.MeanSquaredError()(y_true, y_pred, sample_weight=jnp.array([0.0, 0.0, 5.0]))
    assert weighted == 0


@pytest.mark.parametrize("y_true", [jnp.array([[0, 1], [0, 0]]), jnp.array([[False, True], [False, False]])])
def test_labels_of_any_real_dtype(y_true: Any):
    for name in ("BinaryCrossentropy", "MeanSquaredError", "MeanAbsoluteError", "Huber"):
        loss = getattr(tg.losses, name)()
        assert loss(y_true, SIX_AND_FOUR[1]) == loss(*SIX_AND_FOUR)
    loss = tg.losses.CategoricalCrossentropy()
    assert loss(ONE_HOT[0].astype(bool), P) == loss(ONE_HOT[0].astype(jnp.float32), P)


def test_half_precision_is_computed_in_float32():
    y_true = jnp.array([0.0, 0.0])
    # 300^2 is more than float16 holds; 1 - 1e-7 is 1 in half precision.
    got = tg.losses.mean_squared_error(y_true.astype(jnp.float16), jnp.array([300.0, 0.0], jnp.float16))
    assert got.dtype == jnp.float32 and got[0] == 90000
    got = tg.losses.binary_crossentropy(jnp.array([0, 1]), jnp.array([1, 0], jnp.bfloat16))
    np.testing.assert_allclose(got, -np.log(1e-7), rtol=0.02)  # 1 - 1e-7 rounds in float32


def test_float64_stays():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        p, labels = rng.uniform(size=(5, 3)), rng.integers(0, 3, 5)
        got = tg.losses.sparse_categorical_crossentropy(jnp.asarray(labels), jnp.asarray(p))
        assert got.dtype == jnp.float64
        expected = -np.log(np.clip(p / p.sum(-1, keepdims=True), EPSILON, 1 - EPSILON)[np.arange(5), labels])
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        assert tg.losses.huber(jnp.zeros(2), jnp.ones(2), delta=0.1).dtype == jnp.float64


def test_axis_of_categorical_crossentropy():
    rng = np.random.default_rng(0)
    y_true, y_pred = np.eye(3, dtype="float32")[rng.integers(0, 3, (2, 4))], rng.normal(size=(2, 4, 3))
    y_pred = y_pred.astype("float32")
    first = jnp.moveaxis(jnp.asarray(y_true), -1, 1), jnp.moveaxis(jnp.asarray(y_pred), -1, 1)
    for from_logits in (False, True):
        expected = tg.losses.categorical_crossentropy(jnp.asarray(y_true), jnp.exp(y_pred), from_logits=from_logits)
        for axis in (1, -2):
            loss = tg.losses.CategoricalCrossentropy(axis=axis, from_logits=from_logits, reduction="none")
            np.testing.assert_allclose(loss(first[0], jnp.exp(first[1])), expected, rtol=1e-6)


def test_axis_of_binary_crossentropies(standard_promotion: Any):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, (2, 4, 3)), rng.uniform(0.1, 0.9, (2, 4, 3)).astype("float32")
    for name in ("BinaryCrossentropy", "BinaryFocalCrossentropy"):
        for from_logits in (False, True):
            for axis in (1, -2, 2):
                options: dict[str, Any] = {"axis": axis, "from_logits": from_logits, "reduction": "none"}
                with standard_promotion():
                    expected = np.asarray(getattr(keras.losses, name)(**options)(y_true, y_pred))
                np.testing.assert_allclose(getattr(tg.losses, name)(**options)(y_true, y_pred), expected, rtol=1e-5)
    focal = tg.losses.SigmoidFocal(axis=1, reduction="none")(y_true, y_pred)
    np.testing.assert_allclose(
        focal, tg.losses.SigmoidFocal(reduction="none")(*(np.swapaxes(a, 1, 2) for a in (y_true, y_pred)))
    )
    swapped = [np.swapaxes(a, 1, 2) for a in (y_true, y_pred)]
    expected = tg.losses.sigmoid_focal(*map(jnp.asarray, swapped))
    np.testing.assert_allclose(tg.losses.SigmoidFocal(axis=1, reduction="none")(y_true, y_pred), expected)
    for axis in (0, 3):
        with pytest.raises(tg.ContractError, match=rf"f32\[2,4,3\] has no axis of values at `axis={axis}`"):
            tg.losses.BinaryCrossentropy(axis=axis)(y_true, y_pred)
    with pytest.raises(tg.ContractError, match=r"f32\[2\] has no axis of values at `axis=1`"):
        tg.losses.BinaryCrossentropy(axis=1)(y_true[:, 0, 0], y_pred[:, 0, 0])


@pytest.mark.parametrize("from_logits", [False, True])
def test_axis_of_sparse_categorical_crossentropy(from_logits: bool, standard_promotion: Any):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    labels, y_pred = rng.integers(0, 3, (2, 4)), rng.uniform(0.1, 0.9, (2, 3, 4)).astype("float32")
    options: dict[str, Any] = {"from_logits": from_logits, "reduction": "none"}
    with standard_promotion():
        # With another axis than the last, Keras takes no labels of its shape in JAX.
        expected = keras.losses.SparseCategoricalCrossentropy(**options)(labels, np.swapaxes(y_pred, 1, 2))
    for axis in (1, -2):
        loss = tg.losses.SparseCategoricalCrossentropy(axis=axis, **options)
        np.testing.assert_allclose(loss(labels, y_pred), expected, rtol=1e-5)
    ignoring = tg.losses.SparseCategoricalCrossentropy(axis=1, ignore_class=0, from_logits=from_logits)
    np.testing.assert_allclose(ignoring(labels, y_pred), np.asarray(expected)[labels != 0].mean(), rtol=1e-5)
    for axis, error in ((0, "no axis of classes at `axis=0`"), (2, "a class index for each .* are expected")):
        with pytest.raises(tg.ContractError, match=error):
            tg.losses.SparseCategoricalCrossentropy(axis=axis)(labels, y_pred)
    with pytest.raises(
        tg.ContractError, match=r"i32\[2,3\] must hold .* the shape \(2, 4\) of its other axes than 1 is"
    ):
        tg.losses.SparseCategoricalCrossentropy(axis=1)(labels[:, :3], y_pred)


def test_logits_may_be_minus_infinity_where_the_label_is_zero():
    logits = jnp.array([[1.0, -jnp.inf, 2.0]])
    loss = tg.losses.CategoricalCrossentropy(from_logits=True)
    expected = np.log(1 + np.e)
    value, gradient = jax.value_and_grad(lambda z: loss(jnp.array([[1.0, 0.0, 0.0]]), z))(logits)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert jnp.all(jnp.isfinite(gradient))


def test_probabilities_that_sum_to_zero_are_finite():
    zero = jnp.zeros((1, 3))
    for fn, label in (
        (tg.losses.categorical_crossentropy, jnp.array([[0.0, 1.0, 0.0]])),
        (tg.losses.sparse_categorical_crossentropy, jnp.array([1])),
    ):
        np.testing.assert_allclose(fn(label, zero), -np.log(EPSILON), rtol=1e-6)
        assert jnp.all(jnp.isfinite(jax.grad(lambda p, fn=fn, label=label: fn(label, p).sum())(zero)))


# Examples of weight 0


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_label_of_weight_zero_has_no_gradient_whatever_it_is(missing: float):
    y_true, y_pred = np.array([[1.0], [missing], [3.0]], "float32"), jnp.array([[0.0], [2.0], [5.0]])
    weight = jnp.array([1.0, 0.0, 3.0])
    # The derivative of the mean of w (p - y)^2 over three examples.
    expected = [[2 * (0 - 1) / 3], [0], [2 * 3 * (5 - 3) / 3]]

    def gradient(loss: Any, labels: Any, weight: Any, **values: Any) -> Any:
        return jax.grad(lambda p: loss(**{"y_true": labels, "y_pred": p, **values}, sample_weight=weight))(y_pred)

    mse, chosen = tg.losses.MeanSquaredError, {"y_true": ("a", 0)}
    np.testing.assert_allclose(gradient(mse(), y_true, weight), expected, rtol=1e-6)
    np.testing.assert_allclose(gradient(mse(on=chosen), {"a": [y_true], "b": 1}, weight), expected, rtol=1e-6)
    both = mse(on={**chosen, "sample_weight": "a"})
    np.testing.assert_allclose(gradient(both, {"a": [y_true]}, {"a": weight, "b": 1}), expected, rtol=1e-6)

    class OfInputs(tg.Loss):
        def call(self, x: Any, y_pred: Any) -> Any:
            return jnp.mean((x["y"] - y_pred) ** 2, axis=-1)

    got = jax.grad(lambda p: OfInputs()(x={"y": y_true}, y_pred=p, sample_weight=weight))(y_pred)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_model_trains_past_labels_of_weight_zero():
    x, weight = np.eye(4, dtype="float32"), np.array([1, 0, 1, 0], "float32")
    net = eqx.nn.Linear(4, 1, use_bias=False, key=jax.random.key(0))
    labels = {"a": [np.array([[1], [np.inf], [2], [np.nan]], "float32")]}
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(on={"y_true": ("a", 0)}), optimizer=optax.sgd(1.0))
    trained, logs = model.train_on_batch(x, labels, weight)
    before, after = np.asarray(net.weight), np.asarray(trained.module.weight)
    np.testing.assert_allclose(after, np.where(weight > 0, before - 2 * (before - [[1, 0, 2, 0]]) / 4, before), 1e-5)
    np.testing.assert_allclose(logs["loss"], np.sum(weight * (before - [[1, 0, 2, 0]]) ** 2) / 4, rtol=1e-5)


# Class indices


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("label", [-1, 3, 10, -4])
def test_labels_out_of_range_are_nan(from_logits: bool, label: int):
    labels, y_pred = jnp.array([1, label]), P + 0.1
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=from_logits, reduction="none")
    got = loss(labels, y_pred)
    assert jnp.isfinite(got[0]) and jnp.isnan(got[1])
    unchecked = tg.losses.SparseCategoricalCrossentropy(from_logits=from_logits, check_bounds=False, reduction="none")
    np.testing.assert_array_equal(unchecked(labels, y_pred), [got[0], 0])
    assert jnp.all(jnp.isfinite(jax.grad(lambda p: jnp.nansum(loss(labels, p)))(y_pred)))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint32"])
def test_labels_of_small_and_unsigned_integers(dtype: str):
    y_pred = jax.random.normal(jax.random.key(0), (2, 4, 300))
    labels = jax.random.randint(jax.random.key(1), (2, 4), 0, 127).astype(dtype)
    got = tg.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True, ignore_class=-1)
    one_hot = jax.nn.one_hot(labels.astype("int32"), 300)
    expected = tg.losses.categorical_crossentropy(one_hot, y_pred, from_logits=True)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("ignored", [-1, 255, 0])
def test_ignored_class_counts_nowhere(ignored: int, standard_promotion: Any):
    labels, y_pred = jnp.array([1, ignored, 2, ignored]), jnp.concatenate([P, P]) + 0.1
    kept = np.asarray(labels) != ignored
    loss = tg.losses.SparseCategoricalCrossentropy(ignore_class=ignored)
    without = tg.losses.SparseCategoricalCrossentropy()
    np.testing.assert_allclose(loss(labels, y_pred), without(labels[kept], y_pred[kept]), rtol=1e-6)
    values = tg.losses.sparse_categorical_crossentropy(labels, y_pred, ignore_class=ignored)
    np.testing.assert_array_equal(values[~kept], [0, 0])
    weight = jnp.array([1.0, 7.0, 3.0, 9.0])
    mean = tg.losses.SparseCategoricalCrossentropy(ignore_class=ignored, reduction="weighted_mean")
    expected = np.average(values[kept], weights=weight[kept])
    np.testing.assert_allclose(mean(labels, y_pred, sample_weight=weight), expected, rtol=1e-6)
    keras = pytest.importorskip("keras")
    with standard_promotion():
        expected = keras.losses.SparseCategoricalCrossentropy(ignore_class=ignored)(labels, y_pred)
    np.testing.assert_allclose(loss(labels, y_pred), expected, rtol=1e-6)


def test_labels_along_time():
    y_true, y_pred = jnp.array([[1, 2], [0, 1]]), jnp.stack([P, P]) + 0.1
    got = tg.losses.SparseCategoricalCrossentropy(reduction="none")(y_true, y_pred)
    expected = tg.losses.categorical_crossentropy(jax.nn.one_hot(y_true, 3), y_pred)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


# Errors


@pytest.mark.parametrize("name", ["MeanSquaredError", "MeanAbsoluteError", "Huber", "BinaryCrossentropy"])
def test_nothing_is_broadcast(name: str):
    loss = getattr(tg.losses, name)()
    error = r"`y_true` f32\[4\] and `y_pred` f32\[4,1\] must have the same shape.*pass `y_true\[..., None\]`"
    with pytest.raises(tg.ContractError, match=error) as e:
        loss(jnp.zeros(4), jnp.zeros((4, 1)))
    assert name in str(e.value)
    with pytest.raises(tg.ContractError, match=r"`y_true` f32\[4,1\] and `y_pred` f32\[4\].*did the module forget"):
        loss(jnp.zeros((4, 1)), jnp.zeros(4))
    with pytest.raises(tg.ContractError, match=r"i32\[4\] and `y_pred` f32\[4,3\].*sparse categorical.*one_hot"):
        loss(jnp.zeros(4, jnp.int32), jnp.zeros((4, 3)))
    with pytest.raises(tg.ContractError, match=r"f32\[4,2\] and `y_pred` f32\[4,3\]"):
        loss(jnp.zeros((4, 2)), jnp.zeros((4, 3)))


def test_functions_refuse_to_broadcast_too():
    with pytest.raises(tg.ContractError, match=r"f32\[4\] and `y_pred` f32\[4,1\]"):
        tg.losses.mean_squared_error(jnp.zeros(4), jnp.zeros((4, 1)))


@pytest.mark.parametrize(
    "y_true, y_pred, error",
    [
        (jnp.zeros((2, 1), jnp.int32), P, r"i32\[2,1\].*f32\[2,3\].*one too many\. Pass `y_true\[\.\.\., 0\]`"),
        (jnp.zeros((2, 3)), P, r"one-hot labels there is the categorical loss"),
        (jnp.zeros(2), P, r"`y_true` f32\[2\].*integer dtype.*astype"),
        (jnp.zeros(2, bool), P, r"`y_true` bool\[2\].*integer dtype"),
        (jnp.zeros(2, jnp.int32), P[:, 0], r"i32\[2\].*f32\[2\].*\(batch,\) and \(batch, classes\)"),
        (jnp.zeros(2, jnp.int32), P[:, :1], r"f32\[2,1\] has one class only.*binary"),
        (jnp.zeros((2, 4), jnp.int32), P, r"i32\[2,4\].*\(batch,\) and \(batch, classes\)"),
    ],
)
def test_unfit_class_indices(y_true: Any, y_pred: Any, error: str):
    with pytest.raises(tg.ContractError, match=error):
        tg.losses.SparseCategoricalCrossentropy()(y_true, y_pred)


@pytest.mark.parametrize(
    "shape, axis, error",
    [
        ((4,), -1, r"f32\[4\] has no axis of classes at `axis=-1`"),
        ((4, 3), 0, r"f32\[4,3\] has no axis of classes at `axis=0`"),
        ((4, 3), 2, r"f32\[4,3\] has no axis of classes at `axis=2`"),
        ((4, 1), -1, r"f32\[4,1\] has one class only"),
    ],
)
def test_unfit_distributions(shape: tuple[int, ...], axis: int, error: str):
    with pytest.raises(tg.ContractError, match=error):
        tg.losses.CategoricalCrossentropy(axis=axis)(jnp.zeros(shape), jnp.zeros(shape))


def test_complex_numbers_are_refused():
    with pytest.raises(tg.ContractError, match=r"`y_pred` is c64\[2\], and real numbers are expected"):
        tg.losses.MeanSquaredError()(jnp.zeros(2), jnp.zeros(2, jnp.complex64))


@pytest.mark.parametrize("name", ["BinaryCrossentropy", "CategoricalCrossentropy"])
def test_label_smoothing_is_a_share(name: str):
    for bad in (-0.1, 1.1, float("nan"), 2):
        with pytest.raises(ValueError, match="`label_smoothing` is a number from 0 to 1, and got"):
            getattr(tg.losses, name)(label_smoothing=bad)
    with pytest.raises(TypeError, match="label_smoothing"):
        getattr(tg.losses, name)(label_smoothing="0.1")


def test_delta_is_positive():
    for bad in (0.0, -1):
        with pytest.raises(ValueError, match="`delta` is a positive number, and got"):
            tg.losses.Huber(delta=bad)


def test_hyperparameters_can_be_traced_and_differentiated():
    def value(delta: Any) -> Any:
        return tg.losses.Huber(delta=delta)(jnp.zeros((1, 2)), jnp.full((1, 2), 3.0))

    np.testing.assert_allclose(jax.jit(value)(2.0), 4)
    np.testing.assert_allclose(jax.grad(value)(2.0), 1)  # of 3δ - δ²/2
    smoothings = jnp.array([0.0, 0.5])
    got = eqx.filter_vmap(lambda s: tg.losses.BinaryCrossentropy(label_smoothing=s)(*SIX_AND_FOUR))(smoothings)
    expected = [tg.losses.BinaryCrossentropy(label_smoothing=float(s))(*SIX_AND_FOUR) for s in smoothings]
    np.testing.assert_allclose(got, jnp.stack(expected), rtol=1e-6)


def test_names_in_the_logs():
    from treegy._terms._naming import default_name

    assert default_name("loss", tg.losses.MeanSquaredError()) == "mean_squared_error_loss"
    assert default_name("loss", tg.losses.mean_squared_error) == "mean_squared_error_loss"
    assert default_name("loss", tg.losses.Huber(name="robust")) == "robust_loss"


def test_losses_are_listed_in_order():
    page = (ROOT / "docs" / "losses.md").read_text()
    rows = re.findall(r"^\| `(\w+)`(?: \| [^|]+){4} \|$", page, re.MULTILINE)
    assert len(rows) > 25 and rows == sorted(rows)


def test_every_loss_is_a_function_too():
    found = [getattr(tg.losses, name) for name in dir(tg.losses)]
    losses = {v.__name__.lower() for v in found if inspect.isclass(v) and v is not tg.Loss}
    functions = {v.__name__.replace("_", "") for v in found if inspect.isfunction(v)}
    # One is made of another loss, and four functions make what a loss is given, or classes of what it reads.
    assert losses - functions == {"permutationinvariant"}
    assert functions - losses == {"bestorder", "coralclasses", "cornclasses", "signeddistances"}
