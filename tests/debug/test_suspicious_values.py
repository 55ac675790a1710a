"""`tg.debug.doubts`: what is probably meant otherwise, and nothing where all is well."""

import re
from functools import partial
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

import treegy as tg

pytestmark = pytest.mark.once

losses, metrics = tg.losses, tg.metrics

RAW = np.random.default_rng(0).uniform(-3, 3, (6, 4)).astype("float32")
INDICES = np.array([0, 1, 2, 3, 1, 0])
ONE_HOT = np.eye(4, dtype="float32")[INDICES]
BINARY = np.array(RAW[::-1] > 0, "int32")

PROBABILITIES = np.asarray(jax.nn.softmax(RAW))
"""Distributions over four classes."""
SIGMOIDS = np.asarray(jax.nn.sigmoid(RAW))


def doubts(thing: Any, y_pred: Any, y_true: Any, **options: Any) -> list[str]:
    model = tg.Model(eqx.nn.Identity(), metrics=thing)
    return tg.debug.doubts(model, y_pred, y_true, **options)


OF_PROBABILITIES = [
    losses.BinaryCrossentropy(),
    losses.BinaryFocalCrossentropy(),
    losses.Dice(),
    losses.Tversky(),
    metrics.AUC(),
    metrics.AveragePrecision(),
    metrics.BinaryAccuracy(),
    metrics.BinaryIoU(),
    metrics.BrierScore(),
    metrics.CalibrationError(),
    metrics.ConfusionMatrix(threshold=0.5),
    metrics.ExactMatch(),
    metrics.F1Score(threshold=0.5),
    metrics.HammingLoss(),
    metrics.Precision(),
    metrics.PrecisionAtRecall(0.5),
    metrics.RocCurve(),
    metrics.TruePositives(),
    losses.binary_crossentropy,
    losses.dice,
    metrics.brier_score,
    partial(losses.binary_crossentropy, from_logits=False),
    metrics.ByGroup(metrics.Precision(), by=lambda y_true: y_true[:, 0], num_groups=2),
    metrics.Bootstrap(metrics.AUC()),
    metrics.Classwise(metrics.Running(losses.dice, k=2)),
]
OF_INDICES = [
    losses.CategoricalGeneralizedCrossEntropy(),
    losses.SparseCategoricalCrossentropy(),
    metrics.Perplexity(),
    losses.sparse_categorical_crossentropy,
    partial(losses.sparse_categorical_crossentropy, check_bounds=False),
    metrics.ByGroup(losses.SparseCategoricalCrossentropy(), by="y_true", num_groups=4),
]
OF_DISTRIBUTIONS = [
    losses.CategoricalCrossentropy(),
    losses.CategoricalFocalCrossentropy(),
    losses.KLDivergence(),
    losses.kl_divergence,
]


@pytest.mark.parametrize(
    "things, well, y_true",
    [
        (OF_PROBABILITIES, SIGMOIDS, BINARY),
        (OF_INDICES, PROBABILITIES, INDICES),
        (OF_DISTRIBUTIONS, PROBABILITIES, ONE_HOT),
    ],
)
def test_logits_where_probabilities_are_meant(things: Any, well: Any, y_true: Any):
    for thing in things:
        assert doubts(thing, well, y_true) == [], thing
        (doubt,) = doubts(thing, RAW, y_true)
        assert "takes probabilities, and `y_pred` f32[6,4] reaches from -2.98" in doubt and "are these logits?" in doubt


@pytest.mark.parametrize(
    "thing, y_true",
    [
        (losses.BinaryCrossentropy(from_logits=True), BINARY),
        (losses.PolyLoss(), ONE_HOT),
        (losses.SigmoidFocal(), BINARY),
        (losses.poly_loss, ONE_HOT),
        (partial(losses.sparse_categorical_crossentropy, from_logits=True), INDICES),
        (eqx.Partial(losses.sparse_categorical_crossentropy, from_logits=True), INDICES),
        (metrics.Bootstrap(metrics.ByGroup(metrics.AUC(from_logits=True), by="y_true", num_groups=2)), BINARY),
    ],
)
def test_probabilities_where_logits_are_meant(thing: Any, y_true: Any):
    assert doubts(thing, RAW, y_true) == []
    (doubt,) = doubts(thing, PROBABILITIES, y_true)
    assert "takes logits, and all of `y_pred` f32[6,4] lies within [0, 1]: are these probabilities already?" in doubt
    assert doubts(thing, PROBABILITIES[:1], y_true[:1]) == []  # so few may be


@pytest.mark.parametrize(
    "thing, y_true",
    [
        (metrics.BinaryAccuracy(threshold=0.0), BINARY),
        (metrics.Precision(thresholds=0.0), BINARY),
        (metrics.Precision(top_k=2), BINARY),
        (metrics.F1Score(), BINARY),
        (metrics.AUC(capacity=100), BINARY),
        (metrics.AveragePrecision(capacity=100), BINARY),
        (metrics.EqualErrorRate(capacity=100), BINARY),
        (metrics.Lift(capacity=100), BINARY),
        (metrics.ConfusionMatrix(), INDICES),
        (metrics.SparseCategoricalAccuracy(), INDICES),
        (losses.CategoricalHinge(), ONE_HOT),
        (losses.MeanSquaredError(), 7 * RAW),
        (losses.Hinge(), 2 * BINARY - 1),
        (lambda y_pred: y_pred, None),
        (tg.regularizers.GlobalL2(), None),
    ],
)
def test_numbers_of_any_size_are_no_doubt(thing: Any, y_true: Any):
    assert doubts(thing, RAW, y_true) == []
    assert doubts(thing, 0 * RAW, y_true) == []


@pytest.mark.parametrize(
    "thing, y_pred, y_true, doubt",
    [
        (losses.BinaryCrossentropy(), SIGMOIDS, 2 * BINARY - 1, r"labels from 0 to 1, .* from -1 to 1\. Are they -1"),
        (losses.BinaryCrossentropy(from_logits=True), RAW, BINARY + 1, r"labels from 0 to 1, .* from 1 to 2\.$"),
        (
            losses.Hinge(),
            RAW,
            BINARY + 1,
            r"labels of -1 or 1, or of 0 or 1, and `y_true` i32\[6,4\] reaches from 1 to 2",
        ),
        (losses.Poisson(), SIGMOIDS, -BINARY, r"aren't negative, and `y_true` i32\[6,4\] reaches from -1 to 0"),
        (losses.Poisson(), RAW, BINARY, r"aren't negative, and `y_pred` f32\[6,4\] reaches from -2"),
        (
            losses.SparseCategoricalCrossentropy(),
            PROBABILITIES,
            INDICES + 1,
            r"class indices from 0 to 3, and `y_true` i32\[6\] reaches from 1 to 4\. Do they begin at 1\?",
        ),
        (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            RAW,
            INDICES - 1,
            r"class indices from 0 to 3, .* from -1 to 2\. .* pass it as `ignore_class`",
        ),
        (
            metrics.SparseCategoricalAccuracy(),
            RAW,
            INDICES * 3,
            r"class indices from 0 to 3, .* from 0 to 9. .* `ignore_class`",
        ),
        (
            metrics.MeanIoU(num_classes=3),
            INDICES,
            INDICES % 3,
            r"from 0 to 2, and `y_pred` i32\[6\] reaches from 0 to 3",
        ),
        (metrics.ConfusionMatrix(num_classes=3), INDICES % 3, INDICES, r"from 0 to 2, and `y_true` .* from 0 to 3"),
        (losses.CategoricalCrossentropy(), SIGMOIDS, ONE_HOT, r"sums of `y_pred` .* along axis -1 reach.* a sigmoid\?"),
        (
            losses.CategoricalCrossentropy(),
            PROBABILITIES,
            BINARY,
            r"sums of `y_true` .* along axis -1 .* binary losses",
        ),
        (losses.CategoricalCrossentropy(axis=1), PROBABILITIES[None], ONE_HOT[None], r"sums of .* along axis 1"),
    ],
)
def test_what_is_out_of_range(thing: Any, y_pred: Any, y_true: Any, doubt: str):
    found = doubts(thing, y_pred, y_true)
    assert any(re.search(doubt, one) for one in found), found


def test_labels_that_are_ignored_are_no_doubt():
    labels = np.where(INDICES == 0, -1, INDICES)
    assert doubts(losses.SparseCategoricalCrossentropy(ignore_class=-1), PROBABILITIES, labels) == []
    assert doubts(metrics.ConfusionMatrix(ignore_class=-1), PROBABILITIES, labels) == []


def test_nan_and_what_has_no_weight():
    y_pred, y_true, weight = RAW.copy(), RAW.copy(), np.ones(6, "float32")
    y_pred[1, 2] = y_true[3] = np.nan
    first, second = doubts(losses.MeanSquaredError(), y_pred, y_true)
    assert first.endswith("(MeanSquaredError.call) reads `y_pred` f32[6,4], of which 1 of 24 are NaN.")
    assert second.endswith(
        "reads `y_true` f32[6,4], of which 4 of 24 are NaN. Give labels that are missing the weight 0."
    )
    weight[[1, 3]] = 0
    assert doubts(losses.MeanSquaredError(), y_pred, y_true, sample_weight=weight) == []
    labels = np.where(np.arange(6) == 3, 9, INDICES)
    assert doubts(losses.sparse_categorical_crossentropy, PROBABILITIES, labels, sample_weight=weight) == []


def test_the_axis_of_classes_is_that_of_the_loss():
    assert doubts(losses.CategoricalCrossentropy(axis=1), PROBABILITIES.T[None], ONE_HOT.T[None]) == []


def test_no_examples_are_no_doubt():
    for thing, y_true in ((losses.CategoricalCrossentropy(), ONE_HOT), (metrics.AUC(), BINARY)):
        assert doubts(thing, RAW[:0], y_true[:0]) == []


def test_who_is_meant_and_parts_of_the_values():
    def of(module: Any, loss: Any) -> list[str]:
        model = tg.Model(module, loss=[loss, losses.MeanAbsoluteError(on={"y_true": "b"})], metrics=metrics.Mean())
        return tg.debug.doubts(model, RAW, {"a": INDICES, "b": RAW})

    (doubt,) = of(eqx.nn.Identity(), losses.SparseCategoricalCrossentropy(on={"y_true": "a"}, name="it"))
    assert doubt.startswith("loss `it_loss` (SparseCategoricalCrossentropy.call) takes probabilities, and `y_pred` f32")
    assert doubt.endswith("are these logits? Then pass `from_logits=True`.")
    (doubt,) = doubts(metrics.ByGroup(metrics.Precision(), by="y_true", num_groups=2), RAW, BINARY)
    assert doubt.startswith("metric `precision_by_group` (Precision.call) takes probabilities")
    assert doubt.endswith("end the module with a sigmoid or softmax, or pass `thresholds=0`.")


def test_losses_of_users_say_what_they_mean():
    class Own(tg.Loss):
        predictions = "probabilities"

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return y_true - y_pred

    class OfLogits(tg.Loss):
        from_logits: bool = True

        def call(self, y_true: Any, y_pred: Any, parameters: Any) -> Any:
            return y_true - y_pred

    class Misspelled(Own):
        predictions = "probability"

    (doubt,) = doubts(Own(), RAW, BINARY)
    assert "takes probabilities" in doubt
    (doubt,) = doubts(OfLogits(), SIGMOIDS, BINARY)
    assert "takes logits" in doubt
    with pytest.raises(ValueError, match="`predictions` of `Misspelled` is one of probabilities, .* got 'probability'"):
        doubts(Misspelled(), RAW, BINARY)


def test_every_loss_and_metric_with_from_logits_says_what_it_takes_otherwise():
    for package in (losses, metrics):
        for cls in (getattr(package, name) for name in dir(package)):
            if isinstance(cls, type) and "from_logits" in getattr(cls, "__dataclass_fields__", {}):
                assert cls.predictions in ("probabilities", "distributions"), cls


@pytest.mark.parametrize(
    "check_bounds, then", [(True, "all its metric values are NaN"), (False, "some examples are in")]
)
def test_groups_that_are_out_of_range(check_bounds: bool, then: str):
    by = {"by": lambda x: x, "num_groups": 2, "check_bounds": check_bounds}
    metric = metrics.ByGroup(metrics.MeanSquaredError(), **by)
    model = tg.Model(lambda x: x.astype("float32"), metrics=metric)
    groups, y = np.array([0, 1, 2]), np.zeros(3, "float32")
    (doubt,) = tg.debug.doubts(model, groups, y)
    assert f"(ByGroup) has groups from 0 to 1, and `by` gives numbers from 0 to 2: {then}" in doubt
    assert tg.debug.doubts(model, groups, y, np.array([1.0, 1.0, 0.0])) == []
