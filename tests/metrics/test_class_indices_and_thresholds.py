"""Class indices with scores where labels are counted, thresholds that are too far apart, and what is no threshold."""

import dataclasses
import inspect
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

import treegy as tg
from helpers.every_loss_and_metric import NEEDED

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N, CLASSES = 200, 4
LABELS = RNG.integers(0, CLASSES, N).astype(np.int32)
SCORES = RNG.dirichlet(np.ones(CLASSES), N).astype(np.float32)
PREDICTED = SCORES.argmax(axis=-1)
WEIGHT = RNG.integers(0, 4, N).astype(np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]

COUNTED: list[Any] = [
    cls(average=cast(Any, average))
    for cls, averages in {
        tg.metrics.Precision: ("micro", "macro", "weighted", None),
        tg.metrics.Recall: ("micro", "macro", "weighted", None),
        tg.metrics.Specificity: ("micro", "macro", "weighted", None),
        tg.metrics.F1Score: ("micro", "macro", "weighted", None),
    }.items()
    for average in averages
] + [
    tg.metrics.FBetaScore(beta=2.0, average="macro"),
    tg.metrics.FBetaScore(beta=0.5, threshold=[0.2, 0.5]),
    tg.metrics.Precision(top_k=2),
    tg.metrics.Recall(class_id=1),
    tg.metrics.Recall(thresholds=[0.1, 0.3]),
    tg.metrics.F1Score(class_id=2),
    tg.metrics.TruePositives(),
    tg.metrics.FalsePositives(thresholds=[0.2, 0.4]),
    tg.metrics.TrueNegatives(),
    tg.metrics.FalseNegatives(),
]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_class_indices_count_as_one_hot_labels(weight: Any):
    for metric in COUNTED:
        found = metric(LABELS, SCORES, sample_weight=weight).compute()
        np.testing.assert_array_equal(found, metric(ONE_HOT, SCORES, sample_weight=weight).compute(), str(metric))
    tokens = LABELS.reshape(20, 10), SCORES.reshape(20, 10, CLASSES)
    for metric in COUNTED:
        np.testing.assert_array_equal(metric(*tokens).compute(), metric(LABELS, SCORES).compute())


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_class_indices_against_scikit_learn(average: Any, weight: Any):
    options: Any = {"average": average, "sample_weight": weight, "zero_division": 0}
    f1, f2 = tg.metrics.F1Score(average=average), tg.metrics.FBetaScore(beta=2.0, average=average)
    for metric, right in (
        (f1, sk.f1_score(LABELS, PREDICTED, **options)),
        (f2, sk.fbeta_score(LABELS, PREDICTED, beta=2, **options)),
    ):
        np.testing.assert_allclose(metric(LABELS, SCORES, sample_weight=weight).compute(), right, rtol=1e-5)
    # With the largest alone as predicted, as scikit-learn has it.
    precision, recall = (cls(average=average, top_k=1) for cls in (tg.metrics.Precision, tg.metrics.Recall))
    for metric, right in (
        (precision, sk.precision_score(LABELS, PREDICTED, **options)),
        (recall, sk.recall_score(LABELS, PREDICTED, **options)),
    ):
        np.testing.assert_allclose(metric(LABELS, SCORES, sample_weight=weight).compute(), right, rtol=1e-5)


def test_specificity_of_class_indices_by_hand():
    right = [np.mean(PREDICTED[c != LABELS] != c) for c in range(CLASSES)]
    found = tg.metrics.Specificity(average=None, top_k=1)(LABELS, SCORES).compute()
    np.testing.assert_allclose(found, right, rtol=1e-5)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_that_is_no_class_spoils_the_value(label: int):
    labels = LABELS.copy()
    labels[3] = label
    without = (np.arange(N) != 3).astype(np.float32)
    for metric in COUNTED:
        assert np.isnan(metric(labels, SCORES).compute()).any(), metric
        # Not where it doesn't count.
        right = metric(LABELS, SCORES, sample_weight=without).compute()
        np.testing.assert_array_equal(metric(labels, SCORES, sample_weight=without).compute(), right)


def test_class_indices_through_a_model():
    model = tg.Model(eqx.nn.Identity(), metrics=[tg.metrics.F1Score(average="macro"), tg.metrics.Recall(top_k=1)])
    logs = model.evaluate(SCORES, LABELS, batch_size=32, verbose=0)
    assert np.isclose(logs["f1_score"], sk.f1_score(LABELS, PREDICTED, average="macro"))
    assert np.isclose(logs["recall"], np.mean(PREDICTED == LABELS))
    assert tg.debug.doubts(model, SCORES, LABELS) == []


# What is no threshold


def with_thresholds() -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    for cls in (getattr(tg.metrics, name) for name in dir(tg.metrics)):
        if inspect.isclass(cls) and issubclass(cls, tg.Metric):
            found += [(cls, f.name) for f in dataclasses.fields(cls) if f.name in ("threshold", "thresholds")]
    return found


@pytest.mark.parametrize("cls, name", with_thresholds(), ids=lambda it: getattr(it, "__name__", it))
def test_thresholds_that_are_no_numbers_are_refused_where_they_are_given(cls: Any, name: str):
    required = {**NEEDED, "BinaryIoU": {"target_class_ids": [0, 1]}}.get(cls.__name__, {})
    for wrong in ([None], ["0.5"], "0.5", [0.5, None], 1j, np.array([None]), np.array("0.5"), True, [[0.5]], {}):
        # Under the import hook, the annotation of some constructors says so first.
        with pytest.raises((TypeError, ValueError), match=f"`{name}` is|parameter '{name}'") as error:
            cls(**required, **{name: wrong})
        assert len(str(error.value)) < 2000


# Thresholds that are too far apart

RARE = RNG.normal(size=3000)
RARE_LABELS = (RARE + RNG.normal(size=3000) > 1).astype(np.int32)
RARE_SCORES = (1 / (1 + np.exp(9 - 2 * RARE))).astype(np.float32)
CURVES = [
    tg.metrics.AUC,
    lambda **options: tg.metrics.AUC(curve="PR", **options),
    tg.metrics.AveragePrecision,
    tg.metrics.RocCurve,
    tg.metrics.PrecisionRecallCurve,
    lambda **options: tg.metrics.SensitivityAtSpecificity(0.9, **options),
    lambda **options: tg.metrics.PrecisionAtRecall(0.5, **options),
]


def doubts(metric: Any, y_pred: Any, y_true: Any, **more: Any) -> list[str]:
    return tg.debug.doubts(tg.Model(eqx.nn.Identity(), metrics=metric), y_pred, y_true, **more)


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_of_rare_events_is_doubted(curve: Any):
    (doubt,) = doubts(curve(), RARE_SCORES, RARE_LABELS)
    assert "knows its curve at 200 thresholds, and" in doubt and "thresholds" in doubt.split("coarse. ")[1]
    spread = np.argsort(np.argsort(RARE_SCORES)).astype(np.float32) / len(RARE_SCORES)
    assert doubts(curve(), spread, RARE_LABELS) == []
    assert doubts(curve(), RARE_LABELS * 0.998 + 0.001 * RARE_SCORES, RARE_LABELS) == []  # all is told apart


def test_the_mend_that_is_given_mends_it():
    quantiles = np.quantile(RARE_SCORES, np.linspace(0, 1, 200)).tolist()
    metric = tg.metrics.AUC(thresholds=quantiles)
    right = sk.roc_auc_score(RARE_LABELS, RARE_SCORES)
    assert doubts(metric, RARE_SCORES, RARE_LABELS) == []
    assert abs(float(metric(RARE_LABELS, RARE_SCORES)) - right) < 0.005
    assert abs(float(tg.metrics.AUC()(RARE_LABELS, RARE_SCORES)) - right) > 0.02


def test_whose_thresholds_are_looked_at():
    logits = np.log(RARE_SCORES / (1 - RARE_SCORES))
    assert len(doubts(tg.metrics.AUC(from_logits=True), logits, RARE_LABELS)) == 1
    equal = np.full(3000, 0.5, np.float32)
    assert doubts(tg.metrics.AUC(), equal, RARE_LABELS) == []  # which no threshold tells apart
    spread = np.argsort(np.argsort(RARE_SCORES)).astype(np.float32) / 3000
    both, labels = np.stack([spread, RARE_SCORES], axis=1), np.stack([RARE_LABELS] * 2, axis=1)
    assert len(doubts(tg.metrics.AUC(multi_label=True), both, labels)) == 1
    assert doubts(tg.metrics.AUC(multi_label=True), both[:, :1].repeat(2, 1), labels) == []
    weight = (np.arange(3000) < 2).astype(np.float32)
    assert doubts(tg.metrics.AUC(), RARE_SCORES, np.arange(3000) % 2, sample_weight=1 - weight) != []


# The overlap of classes without one


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("ignored", [0, 2])
def test_jaccard_without_a_class_against_scikit_learn(average: str, ignored: int):
    kept, others = ignored != LABELS, [c for c in range(CLASSES) if c != ignored]
    right = sk.jaccard_score(LABELS[kept], PREDICTED[kept], labels=others, average=average)
    found = tg.metrics.Jaccard(average=cast(Any, average), ignore_class=ignored)(LABELS, SCORES).compute()
    np.testing.assert_allclose(found, right, rtol=1e-5)


def test_jaccard_with_a_label_that_is_no_class():
    labels = np.where(np.arange(N) < 20, -1, LABELS)
    right = sk.jaccard_score(LABELS[20:], PREDICTED[20:], average="macro")
    np.testing.assert_allclose(tg.metrics.Jaccard(ignore_class=-1)(labels, SCORES).compute(), right, rtol=1e-5)
    values = tg.metrics.Jaccard(ignore_class=1, average=None)(LABELS, SCORES).compute()
    assert values.shape == (CLASSES,) and values[1] == 0


# Losses of pairs


@pytest.mark.parametrize("fn", [tg.losses.ntxent, tg.losses.circle])
def test_losses_of_pairs_return_values_per_example(fn: Any):
    labels, embeddings = jnp.array([0, 0, 1, 1, 2]), jax.random.normal(jax.random.key(0), (5, 3))
    values = fn(labels, embeddings)
    assert isinstance(values, jax.Array) and values.shape == (5,) and values.dtype == jnp.float32
    assert values[4] == 0 and bool(jnp.all(values[:4] > 0))
    loss = {tg.losses.ntxent: tg.losses.NTXent, tg.losses.circle: tg.losses.Circle}[fn]()
    np.testing.assert_allclose(loss(labels, embeddings), values[:4].mean(), rtol=1e-5)  # the last makes no pair
    logs = tg.Model(eqx.nn.Identity(), loss=fn).evaluate(embeddings, labels, verbose=0)
    np.testing.assert_allclose(logs["loss"], values.mean(), rtol=1e-5)
