"""Weights of examples and classes in a model, against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers import linear
from helpers.linear_models import WEIGHT, X, Y, arrays, fitted, identical, predicted, regression

pytestmark = pytest.mark.once

LABELS = np.array([0, 1, 2, 2, 1, 0, 0, 1, 2, 1], np.int32)


def crossentropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return (np.log(np.exp(shifted).sum(-1)) - np.take_along_axis(shifted, labels[:, None], 1)[:, 0]).astype(np.float64)


CLASS_WEIGHT = {0: 0.5, 1: 2.0, 2: 0.0}


@pytest.mark.parametrize("sample_weight", [None, WEIGHT])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT, [0.5, 2.0, 0.0], np.array([0.5, 2.0, 0.0])])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "weighted_mean", "sum"])
def test_weights(sample_weight, class_weight, reduction):
    losses = {
        "sparse": tg.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction, name="loss"),
        "penalty": tg.regularizers.GlobalL2(0.1, name="loss"),
    }
    model = tg.Model(linear(outputs=3), loss=losses, metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"))
    logs = model.evaluate(X, LABELS, batch_size=4, sample_weight=sample_weight, class_weight=class_weight, verbose=0)
    logits = predicted(model.module)
    given = np.ones(10) if sample_weight is None else np.float64(sample_weight)
    weight = given if class_weight is None else given * np.array([0.5, 2.0, 0.0])[LABELS]
    total = np.sum(weight * crossentropy(logits, LABELS))
    expected = {"sum_over_batch_size": total / 10, "weighted_mean": total / weight.sum(), "sum": total}[reduction]
    penalty = 0.1 * sum(np.sum(np.float64(p) ** 2) for p in (model.module.weight, model.module.bias))
    assert logs["sparse/loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["penalty/loss"] == pytest.approx(penalty, rel=1e-5)
    assert logs["loss"] == pytest.approx(expected + penalty, rel=1e-5)
    correct = logits.argmax(-1) == LABELS
    assert logs["accuracy"] == pytest.approx(np.sum(given * correct) / given.sum(), rel=1e-5), (
        "classes don't weigh metrics"
    )


def test_class_weight_of_one_hot_and_of_column_labels():
    one_hot = np.eye(3, dtype="f4")[LABELS]
    sparse = tg.Model(linear(outputs=3), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True))
    dense = tg.Model(linear(outputs=3), loss=tg.losses.CategoricalCrossentropy(from_logits=True))
    binary = tg.Model(linear(outputs=1), loss=tg.losses.BinaryCrossentropy(from_logits=True))
    expected = sparse.evaluate(X, LABELS, class_weight=CLASS_WEIGHT, verbose=0)["loss"]
    assert dense.evaluate(X, one_hot, class_weight=CLASS_WEIGHT, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)
    column = (LABELS == 1).astype("f4")[:, None]
    weights = np.where(column[:, 0] == 1, 3.0, 0.5).astype("f4")
    by_class = binary.evaluate(X, column, class_weight={0: 0.5, 1: 3.0}, verbose=0)
    assert by_class["loss"] == pytest.approx(
        binary.evaluate(X, column, sample_weight=weights, verbose=0)["loss"], rel=1e-6
    )


def test_class_weight_reaches_losses_that_make_accumulators():
    class Weighted(tg.Loss):
        def call(self, y_true, y_pred, sample_weight=None):
            values = jnp.mean(y_pred, axis=-1)
            return tg.Mean.of(values, sample_weight)

    model = tg.Model(linear(outputs=3), loss=Weighted())
    weight = WEIGHT * np.array([0.5, 2.0, 0.0])[LABELS]
    logs = model.evaluate(X, LABELS, sample_weight=WEIGHT, class_weight=CLASS_WEIGHT, batch_size=4, verbose=0)
    assert logs["loss"] == pytest.approx(np.sum(weight * predicted(model.module).mean(-1)) / weight.sum(), rel=1e-5)


def test_class_weight_after_on():
    losses = [
        tg.losses.SparseCategoricalCrossentropy(from_logits=True, on={"y_true": "a"}, name="a"),
        tg.losses.SparseCategoricalCrossentropy(from_logits=True, on={"y_true": "b"}, name="b"),
    ]
    model = tg.Model(linear(outputs=3), loss=losses)
    other = (LABELS + 1) % 3
    logs = model.evaluate(X, {"a": LABELS, "b": other}, class_weight=CLASS_WEIGHT, verbose=0)
    for name, labels in (("a_loss", LABELS), ("b_loss", other)):
        values = crossentropy(predicted(model.module), labels) * np.array([0.5, 2.0, 0.0])[labels]
        assert logs[name] == pytest.approx(values.mean(), rel=1e-5)


def test_class_weight_is_for_training():
    model = regression(linear(outputs=3), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True))
    weighted, history = model.fit(
        X, LABELS, class_weight=CLASS_WEIGHT, validation_data=(X, LABELS), batch_size=4, verbose=0
    )
    assert history.history["val_loss"][0] == pytest.approx(weighted.evaluate(X, LABELS, verbose=0)["loss"], rel=1e-6)
    assert not identical(arrays(weighted.module), arrays(fitted(model, X, LABELS).module))


def test_weights_chosen_by_on():
    losses = [
        tg.losses.MeanSquaredError(on={"sample_weight": "a"}, name="a"),
        tg.losses.MeanSquaredError(on={"sample_weight": "b"}, name="b"),
    ]
    model = tg.Model(linear(), loss=losses)
    squared = np.mean((predicted(model.module) - Y) ** 2, axis=-1)
    logs = model.evaluate(X, Y, sample_weight={"a": WEIGHT, "b": 1 - WEIGHT}, batch_size=4, verbose=0)
    assert logs["a_loss"] == pytest.approx(np.mean(squared * WEIGHT), rel=1e-5)
    assert logs["b_loss"] == pytest.approx(np.mean(squared * (1 - WEIGHT)), rel=1e-4)
    assert model.evaluate(X, Y, verbose=0)["a_loss"] == pytest.approx(np.mean(squared), rel=1e-5)


def test_a_zero_weight_removes_an_example():
    x, weight = X.copy(), np.ones(10, "f4")
    x[3], weight[3] = np.nan, 0
    model = regression()
    logs = model.evaluate(x, Y, sample_weight=weight, batch_size=4, verbose=0)
    rest = np.arange(10) != 3
    assert logs["loss"] == pytest.approx(np.sum((predicted(model.module)[rest] - Y[rest]) ** 2) / 20, rel=1e-5)
