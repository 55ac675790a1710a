"""Classification metrics against Keras 3, scikit-learn and formulas in NumPy, over several batches."""

import math
import warnings
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers import mostly_slow
from treegy.metrics._accumulators._counting import counted, histogram

pytestmark = pytest.mark.once


def figure(metric: tg.Metric, y_true: Any, y_pred: Any, weight: Any = None, cut: int = 4) -> Any:
    """The value over two batches, the first of `cut` examples."""
    parts = [
        metric(y_true[piece], y_pred[piece], sample_weight=None if weight is None else weight[piece])
        for piece in (slice(0, cut), slice(cut, None))
    ]
    return parts[0].merge(parts[1]).compute()


def data(kind: str, n: int = 8, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 4, n), rng.dirichlet(np.ones(4), n).astype("float32")
    match kind:
        case "binary":
            return rng.integers(0, 2, (n, 3)), rng.uniform(size=(n, 3)).astype("float32")
        case "ties":  # most predictions are exactly at a threshold
            return rng.integers(0, 2, (n, 3)), rng.choice([0.0, 0.2, 0.25, 0.5, 0.75, 1.0], (n, 3)).astype("float32")
        case "indices":
            return labels, scores
        case "one-hot":
            return np.eye(4, dtype="float32")[labels], scores
        case "two indices":
            return labels, rng.integers(0, 4, n)
        case "positives only":
            return np.ones((n, 3), int), rng.uniform(size=(n, 3)).astype("float32")
        case _:
            assert kind == "negatives only"
            return np.zeros((n, 3), int), rng.uniform(size=(n, 3)).astype("float32")


def weights(n: int = 8) -> Any:
    """Some are 0, and all sums of them are exact."""
    return np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], n).astype("float32")


# Keras 3

BINARY = [
    ("TruePositives", {}),
    ("TrueNegatives", {"thresholds": 0.25}),
    ("FalsePositives", {"thresholds": [0.25, 0.5, 0.8]}),
    ("FalseNegatives", {}),
    ("Precision", {"top_k": 2}),
    ("Precision", {"top_k": 1, "thresholds": 0.5}),
    ("Precision", {"top_k": 2, "class_id": 1}),
    ("Recall", {"top_k": 2}),
    ("Recall", {"top_k": 2, "thresholds": [0.3, 0.6]}),
    ("AUC", {}),
    ("AUC", {"curve": "PR"}),
    *(
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": 5})
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    ("AUC", {"thresholds": [0.7, 0.2, 0.25]}),
    ("AUC", {"thresholds": [0.7, 0.2, 0.25], "curve": "PR"}),
    ("AUC", {"multi_label": True, "num_labels": 3, "num_thresholds": 5}),
    ("AUC", {"multi_label": True, "num_thresholds": 5, "curve": "PR", "label_weights": [1.0, 0.5, 2.0]}),
    ("AUC", {"label_weights": [1.0, 0.5, 2.0]}),
    ("PrecisionAtRecall", {"recall": 0.5}),
    ("PrecisionAtRecall", {"recall": 0.7, "num_thresholds": 5, "class_id": 1}),
    ("RecallAtPrecision", {"precision": 0.5}),
    ("RecallAtPrecision", {"precision": 1.0, "num_thresholds": 1}),
    ("SensitivityAtSpecificity", {"specificity": 0.5}),
    ("SensitivityAtSpecificity", {"specificity": 0.8, "num_thresholds": 5}),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5}),
    ("SpecificityAtSensitivity", {"sensitivity": 0.8, "num_thresholds": 5, "class_id": 2}),
]


def keras_figure(name: str, options: dict[str, Any], batches: Any, standard_promotion: Any) -> Any:
    keras = pytest.importorskip("keras")
    with standard_promotion(), warnings.catch_warnings():
        # Keras asks for int64, which JAX by default hasn't.
        warnings.filterwarnings("ignore", "Explicitly requested dtype int64")
        theirs = getattr(keras.metrics, name)(**options)
        for y_true, y_pred, weight in batches:
            theirs.update_state(y_true, y_pred, sample_weight=weight)
        return np.asarray(theirs.result())


@pytest.mark.parametrize(
    "kind",
    ["ties", *(pytest.param(k, marks=pytest.mark.slow) for k in ("binary", "positives only", "negatives only"))],
)
@pytest.mark.parametrize("name, options", mostly_slow(BINARY))
def test_counts_at_thresholds_equal_keras(name: str, options: dict[str, Any], kind: str, standard_promotion: Any):
    y_true, y_pred = data(kind)
    weight = weights()
    got = figure(getattr(tg.metrics, name)(**options), y_true, y_pred, weight)
    # Keras lines weights up with the last axis of flattened labels, but keeps those of several labels.
    wide = weight if options.get("multi_label") else weight[:, None]
    expected = keras_figure(name, options, [(y_true, y_pred, wide)], standard_promotion)
    assert got.dtype == jnp.float32 and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=1e-6)


def test_logits_equal_keras(standard_promotion: Any):
    y_true, y_pred = data("binary")
    logits = np.log(y_pred / (1 - y_pred))
    expected = keras_figure("AUC", {"from_logits": True}, [(y_true, logits, None)], standard_promotion)
    np.testing.assert_allclose(figure(tg.metrics.AUC(from_logits=True), y_true, logits), expected, rtol=1e-6)
    for cls in (tg.metrics.RocCurve, tg.metrics.AveragePrecision):
        expected = figure(cls(), y_true, y_pred)
        np.testing.assert_allclose(figure(cls(from_logits=True), y_true, logits), expected, rtol=1e-6)
    expected = figure(tg.metrics.PrecisionAtRecall(0.5), y_true, y_pred)
    np.testing.assert_allclose(figure(tg.metrics.PrecisionAtRecall(0.5, from_logits=True), y_true, logits), expected)


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(
    "name, options",
    [
        ("F1Score", {}),
        ("F1Score", {"average": "micro", "threshold": 0.3}),
        ("FBetaScore", {"beta": 2.0}),
        ("FBetaScore", {"beta": 0.5, "average": "macro"}),
        ("FBetaScore", {"average": "weighted", "threshold": 0.25}),
        ("TopKCategoricalAccuracy", {"k": 2}),
    ],
)
def test_scores_of_one_hot_labels_equal_keras(
    name: str, options: dict[str, Any], weighted: bool, standard_promotion: Any
):
    y_true, y_pred = data("one-hot")
    # Ties, and nothing predicted at all.
    y_pred[0], y_pred[1] = [0.4, 0.1, 0.1, 0.4], 0
    weight = weights() if weighted else None
    expected = keras_figure(name, options, [(y_true, y_pred, weight)], standard_promotion)
    got = figure(getattr(tg.metrics, name)(**options), y_true, y_pred, weight)
    assert got.shape == expected.shape
    # Keras adds 1e-7 to denominators.
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_top_k_of_class_indices_equals_keras(k: int, standard_promotion: Any):
    y_true, y_pred = data("indices")
    y_pred[:4] = [[0.4, 0.1, 0.1, 0.4], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    options: dict[str, Any] = {"k": k}
    weight = weights()
    expected = keras_figure("SparseTopKCategoricalAccuracy", options, [(y_true, y_pred, weight)], standard_promotion)
    got = figure(tg.metrics.SparseTopKCategoricalAccuracy(**options), y_true, y_pred, weight)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    options["from_sorted_ids"], y_pred = True, np.argsort(-y_pred, axis=-1, kind="stable")[:, :3]
    expected = keras_figure("SparseTopKCategoricalAccuracy", options, [(y_true, y_pred, weight)], standard_promotion)
    got = figure(tg.metrics.SparseTopKCategoricalAccuracy(**options), y_true, y_pred, weight)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("IoU", "two indices", {"num_classes": 4, "target_class_ids": [0, 2]}),
        ("IoU", "indices", {"num_classes": 4, "target_class_ids": [3], "sparse_y_pred": False}),
        ("MeanIoU", "two indices", {"num_classes": 4}),
        ("MeanIoU", "two indices", {"num_classes": 6, "ignore_class": 1}),
        ("BinaryIoU", "binary", {}),
        ("BinaryIoU", "binary", {"target_class_ids": [1], "threshold": 0.3}),
        ("OneHotIoU", "one-hot", {"num_classes": 4, "target_class_ids": [1, 2]}),
        ("OneHotMeanIoU", "one-hot", {"num_classes": 4, "ignore_class": 0}),
    ],
)
def test_overlaps_equal_keras(name: str, kind: str, options: dict[str, Any], weighted: bool, standard_promotion: Any):
    y_true, y_pred = data(kind)
    weight = weights() if weighted else None
    wide = np.broadcast_to(weight[:, None], y_true.shape) if weight is not None and kind == "binary" else weight
    # Keras would count in integers.
    expected = keras_figure(name, {**options, "dtype": "float32"}, [(y_true, y_pred, wide)], standard_promotion)
    np.testing.assert_allclose(
        figure(getattr(tg.metrics, name)(**options), y_true, y_pred, weight), expected, rtol=2e-6
    )


# scikit-learn

sklearn: Any = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("zero_division", [0.0, 1.0, math.nan])
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_averages_equal_scikit_learn(average: str | None, zero_division: float):
    y_true, y_pred = data("binary")
    # One class that neither occurs nor is predicted, and one that is predicted only.
    y_true[:, 0], y_pred[:, 0] = 0, 0.1
    y_true[:, 1] = 0
    weight = weights()
    options: dict[str, Any] = {"average": average, "zero_division": zero_division}
    for ours, theirs, its in [
        (tg.metrics.Precision(**options), sklearn.precision_score, {}),
        (tg.metrics.Recall(**options), sklearn.recall_score, {}),
        (tg.metrics.F1Score(threshold=0.5, **options), sklearn.f1_score, {}),
        (tg.metrics.FBetaScore(beta=2.0, threshold=0.5, **options), sklearn.fbeta_score, {"beta": 2.0}),
    ]:
        expected = theirs(y_true, y_pred > 0.5, sample_weight=weight, **its, **options)
        np.testing.assert_allclose(figure(ours, y_true, y_pred, weight), expected, rtol=1e-6)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_f_scores_of_thresholds_of_the_top_and_of_one_class(beta: float):
    from sklearn.metrics import fbeta_score

    (y_true, y_pred), weight = data("binary", 12), weights(12)
    order = np.argsort(np.argsort(-y_pred, axis=-1), axis=-1)

    def expected(chosen: Any, average: Any, column: Any = slice(None)) -> Any:
        return fbeta_score(
            y_true[:, column],
            chosen[:, column],
            beta=beta,
            average=average,
            sample_weight=weight,
            zero_division=cast(Any, 0),
        )

    for average in (None, "macro"):
        several = tg.metrics.FBetaScore(beta=beta, threshold=[0.3, 0.6], average=average)
        reference = [expected(y_pred > t, average) for t in (0.3, 0.6)]
        np.testing.assert_allclose(figure(several, y_true, y_pred, weight), reference, rtol=1e-6)
    top = tg.metrics.FBetaScore(beta=beta, top_k=2, average="macro")
    np.testing.assert_allclose(figure(top, y_true, y_pred, weight), expected(order < 2, "macro"), rtol=1e-6)
    both = tg.metrics.FBetaScore(beta=beta, top_k=2, threshold=0.5, average="weighted")
    reference = expected((order < 2) & (y_pred > 0.5), "weighted")
    np.testing.assert_allclose(figure(both, y_true, y_pred, weight), reference, rtol=1e-6)
    one = tg.metrics.FBetaScore(beta=beta, threshold=0.5, class_id=1)
    np.testing.assert_allclose(figure(one, y_true, y_pred, weight), expected(y_pred > 0.5, "binary", 1), rtol=1e-6)
    largest = tg.metrics.FBetaScore(beta=beta, class_id=2, average="micro")
    np.testing.assert_allclose(figure(largest, y_true, y_pred, weight), expected(order < 1, "binary", 2), rtol=1e-6)
    with pytest.raises(tg.ContractError, match=r"has no class 3 along its last axis"):
        tg.metrics.F1Score(class_id=3)(y_true, y_pred)


def test_specificity_is_the_recall_of_negatives():
    y_true, y_pred = data("ties")
    weight = weights()
    for average, expected in [
        ("micro", sklearn.recall_score(y_true.ravel() == 0, y_pred.ravel() <= 0.5, sample_weight=np.repeat(weight, 3))),
        (None, sklearn.recall_score(y_true == 0, y_pred <= 0.5, sample_weight=weight, average=None)),
    ]:
        got = figure(tg.metrics.Specificity(average=cast(Any, average)), y_true, y_pred, weight)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    several = figure(tg.metrics.Specificity(thresholds=[0.2, 0.5], average=None), y_true, y_pred, weight)
    assert several.shape == (2, 3)
    np.testing.assert_allclose(several[1], expected, rtol=1e-6)


MATRIX = [
    (tg.metrics.ConfusionMatrix, {}, lambda *a, **k: sklearn.confusion_matrix(*a, **k, labels=range(4))),
    *(
        (
            tg.metrics.ConfusionMatrix,
            {"normalize": by},
            lambda *a, by=by, **k: sklearn.confusion_matrix(*a, **k, labels=range(4), normalize=by),
        )
        for by in ("true", "pred", "all")
    ),
    (tg.metrics.BalancedAccuracy, {}, lambda *a, **k: sklearn.balanced_accuracy_score(*a, **k)),
    (
        tg.metrics.BalancedAccuracy,
        {"adjusted": True},
        lambda *a, **k: sklearn.balanced_accuracy_score(*a, **k, adjusted=True),
    ),
    (tg.metrics.MatthewsCorrelation, {}, lambda *a, **k: sklearn.matthews_corrcoef(*a, **k)),
    *(
        (
            tg.metrics.CohenKappa,
            {"weights": by},
            lambda *a, by=by, **k: sklearn.cohen_kappa_score(*a, **k, labels=range(4), weights=by),
        )
        for by in (None, "linear", "quadratic")
    ),
    *(
        (
            tg.metrics.Jaccard,
            {"average": by},
            lambda *a, by=by, **k: sklearn.jaccard_score(*a, **k, labels=range(4), average=by, zero_division=0),
        )
        for by in (None, "micro", "macro", "weighted")
    ),
]


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("cls, options, reference", MATRIX)
def test_confusion_matrices_equal_scikit_learn(cls: Any, options: dict[str, Any], reference: Any, weighted: bool):
    labels, scores = data("indices", 12)
    weight = weights(12) if weighted else None
    predicted = np.argmax(scores, axis=-1)
    expected = reference(labels, predicted, sample_weight=weight)
    forms = [
        (cls(**options), labels, scores),
        (cls(**options), np.eye(4, dtype="float32")[labels], scores),
        (cls(num_classes=4, **options), labels.astype("uint8"), predicted),
    ]
    for metric, y_true, y_pred in forms:
        got = figure(metric, y_true, y_pred, weight)
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("cls", [tg.metrics.BalancedAccuracy, tg.metrics.MatthewsCorrelation, tg.metrics.CohenKappa])
def test_two_classes_predicted_by_one_number(cls: Any):
    y_true, y_pred = data("ties")
    y_true, y_pred = y_true[:, 0], y_pred[:, 0]
    theirs = {
        "BalancedAccuracy": sklearn.balanced_accuracy_score,
        "MatthewsCorrelation": sklearn.matthews_corrcoef,
        "CohenKappa": sklearn.cohen_kappa_score,
    }[cls.__name__]
    for threshold in (0.25, 0.5):
        expected = theirs(y_true, y_pred > threshold)
        for shape in ((-1,), (-1, 1)):
            got = figure(cls(threshold=threshold), y_true.reshape(shape), y_pred.reshape(shape))
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        booleans = figure(cls(num_classes=2), y_true.astype(bool), y_pred > threshold)
        np.testing.assert_allclose(booleans, expected, rtol=1e-6, atol=1e-6)


def test_correlations_of_rare_classes_are_exact():
    # 10^6 examples, of which few are positive: differences of large counts would leave nothing.
    matrix = np.array([[999_850, 30], [40, 80]], "int64")
    y_true, y_pred = (i.reshape(-1) for i in np.meshgrid([0, 1], [0, 1], indexing="ij"))
    weight = jnp.asarray(matrix.reshape(-1), jnp.float32)
    tn, fp, fn, tp = matrix.reshape(-1).astype("float64")
    expected = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    got = tg.metrics.MatthewsCorrelation(num_classes=2)(y_true, y_pred, sample_weight=weight)
    np.testing.assert_allclose(got.compute(), expected, rtol=1e-5)
    kappa = sklearn.cohen_kappa_score(y_true, y_pred, sample_weight=matrix.reshape(-1))
    got = tg.metrics.CohenKappa(num_classes=2)(y_true, y_pred, sample_weight=weight)
    np.testing.assert_allclose(got.compute(), kappa, rtol=1e-5)


def test_several_labels_equal_scikit_learn():
    y_true, y_pred = data("ties")
    weight = weights()
    expected = sklearn.hamming_loss(y_true, y_pred > 0.5, sample_weight=weight)
    np.testing.assert_allclose(figure(tg.metrics.HammingLoss(), y_true, y_pred, weight), expected, rtol=1e-6)
    expected = sklearn.accuracy_score(y_true, y_pred > 0.25, sample_weight=weight)
    np.testing.assert_allclose(figure(tg.metrics.ExactMatch(threshold=0.25), y_true, y_pred, weight), expected)


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_brier_score_equals_scikit_learn(weighted: bool):
    weight = weights() if weighted else None
    labels, scores = data("indices")
    scores /= scores.sum(axis=1, keepdims=True, dtype="float64")
    expected = sklearn.brier_score_loss(labels, scores, sample_weight=weight, labels=range(4))
    for y_true in (labels, np.eye(4)[labels]):
        np.testing.assert_allclose(figure(tg.metrics.BrierScore(), y_true, scores, weight), expected, rtol=1e-6)
    y_true, y_pred = data("binary")
    expected = sklearn.brier_score_loss(y_true[:, 0], y_pred[:, 0], sample_weight=weight)
    np.testing.assert_allclose(figure(tg.metrics.BrierScore(), y_true[:, 0], y_pred[:, 0], weight), expected, rtol=1e-6)


def test_areas_and_curves_equal_scikit_learn_where_no_two_predictions_share_a_bucket():
    rng = np.random.default_rng(0)
    # The middles of buckets, each of which occurs once or twice with the same value.
    y_pred = ((rng.choice(199, 12) + 0.5) / 199).astype("float32")
    y_true, weight = rng.integers(0, 2, 12), weights(12) + 0.5
    expected = sklearn.roc_auc_score(y_true, y_pred, sample_weight=weight)
    np.testing.assert_allclose(figure(tg.metrics.AUC(), y_true, y_pred, weight), expected, rtol=1e-6)
    expected = sklearn.average_precision_score(y_true, y_pred, sample_weight=weight)
    np.testing.assert_allclose(figure(tg.metrics.AveragePrecision(), y_true, y_pred, weight), expected, rtol=1e-6)

    false, true, _ = sklearn.roc_curve(y_true, y_pred, sample_weight=weight, drop_intermediate=False)
    curve = figure(tg.metrics.RocCurve(), y_true, y_pred, weight)
    corners = np.asarray(curve[:2])[:, np.r_[True, np.any(np.diff(curve[:2]) != 0, axis=0)]]
    np.testing.assert_allclose(corners, [false, true], rtol=1e-6)

    precision, recall, _ = sklearn.precision_recall_curve(y_true, y_pred, sample_weight=weight)
    curve = figure(tg.metrics.PrecisionRecallCurve(), y_true, y_pred, weight)
    corners = np.asarray(curve[:2])[:, np.r_[np.any(np.diff(curve[:2]) != 0, axis=0), True]]
    np.testing.assert_allclose(corners, [precision, recall], rtol=1e-6)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_average_precision_over_classes(average: str | None):
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(0, 2, (8, 3)), ((rng.choice(199, (8, 3)) + 0.5) / 199).astype("float32")
    y_true[0] = 1  # scikit-learn warns where there are no positives
    expected = sklearn.average_precision_score(y_true, y_pred, average=average)
    np.testing.assert_allclose(
        figure(tg.metrics.AveragePrecision(average=cast(Any, average)), y_true, y_pred), expected, rtol=1e-6
    )


# NumPy


@pytest.mark.parametrize("cls", [tg.metrics.RocCurve, tg.metrics.PrecisionRecallCurve])
def test_curves_are_what_their_thresholds_say(cls: Any):
    y_true, y_pred = data("ties")
    weight = weights()
    first, second, thresholds = np.asarray(figure(cls(num_thresholds=5, class_id=1), y_true, y_pred, weight))
    spread = np.array([-1e-7, 0.25, 0.5, 0.75, 1 + 1e-7], "float32")
    np.testing.assert_array_equal(thresholds, spread[::-1] if cls is tg.metrics.RocCurve else spread)
    w, y = weight.astype("float64"), y_true[:, 1] == 1
    for i, threshold in enumerate(thresholds):
        positive = y_pred[:, 1] > threshold
        recall = np.sum(w * (y & positive)) / np.sum(w * y)
        if cls is tg.metrics.RocCurve:
            expected = np.sum(w * (~y & positive)) / np.sum(w * ~y), recall
        else:
            chosen = np.sum(w * positive)
            expected = (np.sum(w * (y & positive)) / chosen if chosen else 1.0), recall
        np.testing.assert_allclose((first[i], second[i]), expected, rtol=1e-6)


def calibration(confidence: Any, right: Any, weight: Any, num_bins: int, norm: str) -> float:
    """The formula of Guo et al., whose bins are open below."""
    c, a, w = (np.asarray(each, "float64") for each in (confidence, right, weight))
    gaps, shares = [], []
    for b in range(num_bins):
        # The edges in single precision, like the confidences that may equal them.
        low, high = np.float32(b / num_bins), np.float32((b + 1) / num_bins)
        here = w * ((c <= high) & ((c > low) | (b == 0)))
        if here.sum() > 0:
            gaps.append(abs(np.sum(here * a) - np.sum(here * c)) / here.sum())
            shares.append(here.sum() / w.sum())
    gaps, shares = np.array(gaps), np.array(shares)
    return {"l1": np.sum(shares * gaps), "l2": np.sqrt(np.sum(shares * gaps**2)), "max": np.max(gaps)}[norm]


@pytest.mark.parametrize("num_bins, norm", [(15, "l1"), (4, "l1"), (4, "l2"), (4, "max"), (1, "l1")])
def test_calibration_error(num_bins: int, norm: str):
    metric, weight = tg.metrics.CalibrationError(num_bins=num_bins, norm=cast(Any, norm)), weights()
    y_true, y_pred = data("ties")
    expected = calibration(y_pred, y_true, np.broadcast_to(weight[:, None], y_true.shape), num_bins, norm)
    np.testing.assert_allclose(figure(metric, y_true, y_pred, weight), expected, rtol=1e-5)
    labels, scores = data("indices")
    expected = calibration(scores.max(-1), scores.argmax(-1) == labels, np.ones(8), num_bins, norm)
    np.testing.assert_allclose(figure(metric, labels, scores), expected, rtol=1e-5)
    with_logits = tg.metrics.CalibrationError(num_bins=num_bins, norm=cast(Any, norm), from_logits=True)
    np.testing.assert_allclose(figure(with_logits, labels, np.log(scores) + 3), expected, rtol=1e-5)


# What is left where there is nothing to divide by


def test_one_class_only():
    ones, zeros = jnp.ones(4, jnp.int32), jnp.zeros(4, jnp.int32)
    for cls, expected in [
        (tg.metrics.BalancedAccuracy, 1),
        (tg.metrics.MatthewsCorrelation, 0),
        (tg.metrics.CohenKappa, 0),
        (tg.metrics.MeanIoU, 1),
        (tg.metrics.Jaccard, 0.5),
    ]:
        assert figure(cls(num_classes=2), ones, ones) == expected
        assert figure(cls(num_classes=2), ones, zeros) == 0
    assert figure(tg.metrics.Jaccard(num_classes=2, zero_division=math.nan), ones, ones) == 1
    assert figure(tg.metrics.BalancedAccuracy(num_classes=2, adjusted=True), ones, ones) == 0
    y_pred = jnp.array([0.1, 0.4, 0.6, 0.9])
    assert figure(tg.metrics.AveragePrecision(), zeros, y_pred) == 0
    assert math.isnan(figure(tg.metrics.AveragePrecision(zero_division=math.nan), zeros, y_pred))
    precision, recall, _ = figure(tg.metrics.PrecisionRecallCurve(num_thresholds=3), zeros, y_pred)
    assert precision.tolist() == [0, 0, 1] and recall.tolist() == [0, 0, 0]


WALKED = [
    (tg.metrics.Precision(average="macro"), "binary"),
    (tg.metrics.Specificity(), "binary"),
    (tg.metrics.F1Score(average="weighted"), "one-hot"),
    (tg.metrics.TruePositives(), "binary"),
    (tg.metrics.AUC(), "binary"),
    (tg.metrics.AUC(curve="PR"), "binary"),
    (tg.metrics.PrecisionAtRecall(0.5), "binary"),
    (tg.metrics.AveragePrecision(average="weighted"), "binary"),
    (tg.metrics.BinaryIoU(), "binary"),
    (tg.metrics.CalibrationError(), "indices"),
    (tg.metrics.CalibrationError(norm="max"), "binary"),
    (tg.metrics.BrierScore(), "indices"),
    (tg.metrics.ConfusionMatrix(normalize="true"), "indices"),
    (tg.metrics.BalancedAccuracy(), "indices"),
    (tg.metrics.BalancedAccuracy(adjusted=True), "one-hot"),
    (tg.metrics.MatthewsCorrelation(), "indices"),
    (tg.metrics.CohenKappa(weights="linear"), "indices"),
    (tg.metrics.Jaccard(), "indices"),
    (tg.metrics.MeanIoU(num_classes=4), "two indices"),
    (tg.metrics.OneHotMeanIoU(num_classes=4), "one-hot"),
]


@pytest.mark.parametrize("metric, kind", WALKED)
def test_without_weight_there_is_nothing(metric: tg.Metric, kind: str):
    y_true, y_pred = data(kind)
    assert jnp.all(figure(metric, y_true, y_pred, np.zeros(8, "float32")) == 0)


@pytest.mark.parametrize("metric, kind", mostly_slow(WALKED))
def test_labels_that_are_no_class_give_nan(metric: tg.Metric, kind: str):
    y_true, y_pred = data(kind)
    assert np.all(np.isfinite(figure(metric, y_true, y_pred)))
    for wrong in [-1, 7, *([np.nan] if kind == "one-hot" else [])]:
        if kind == "one-hot" and not isinstance(metric, tg.metrics.F1Score):
            # A one-hot label has the class of its largest entry, if that is positive.
            wrong = np.nan if wrong == 7 else 0
        labels = y_true.copy()
        labels[5] = wrong
        assert np.any(np.isnan(figure(metric, labels, y_pred)))
        # In an example that doesn't count, it doesn't matter.
        weight = np.ones(8, "float32")
        weight[5] = 0
        assert np.all(np.isfinite(figure(metric, labels, y_pred, weight)))


@pytest.mark.parametrize("metric, kind", mostly_slow(WALKED))
def test_predictions_that_are_nan_give_nan(metric: tg.Metric, kind: str):
    y_true, y_pred = data(kind)
    if kind == "two indices":
        y_pred[2] = 4  # beyond the last class
    else:
        y_pred[2, 0] = np.nan
    assert np.any(np.isnan(figure(metric, y_true, y_pred)))


def test_what_is_left_out_of_a_matrix():
    y_true, y_pred = np.array([0, 1, 2, -1, 1]), np.array([0, 1, 1, 1, 5])
    matrix = figure(tg.metrics.ConfusionMatrix(2, check_bounds=False), y_true, y_pred)
    assert matrix.tolist() == [[1, 0], [0, 1]]
    ignoring = tg.metrics.ConfusionMatrix(3, ignore_class=-1)
    assert figure(ignoring, y_true[:4], y_pred[:4]).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert jnp.all(jnp.isnan(figure(ignoring, y_true, y_pred)))
    binary = tg.metrics.ConfusionMatrix(threshold=0.5, ignore_class=255)
    for y_true in (np.array([1, 255, 0, 1], "uint8"), np.array([1.0, 255.0, 0.0, 1.0], "float32")):
        assert figure(binary, y_true, np.full(4, 0.9, "float32"), cut=2).tolist() == [[0, 1], [0, 2]]
    for label in (-1, 0.5, 7):
        labels = np.array([1, label, 0, 1], "float32")
        ignoring = tg.metrics.ConfusionMatrix(threshold=0.5, ignore_class=-1)
        assert jnp.any(jnp.isnan(figure(ignoring, labels, np.full(4, 0.9, "float32"), cut=2))) == (label != -1)
    # 255 as a label of nothing, as in images.
    void = figure(
        tg.metrics.MeanIoU(2, ignore_class=255), np.array([0, 1, 255], "uint8"), np.array([0, 1, 1], "uint8"), cut=1
    )
    assert void == 1


def test_nan_predictions_are_never_among_the_top():
    y_pred = jnp.array([[jnp.nan, 0.2, 0.1], [jnp.nan, jnp.nan, jnp.nan], [0.1, 0.2, jnp.nan]])
    for labels, expected in [([0, 0, 0], [False] * 3), ([1, 1, 1], [True, False, True])]:
        got = tg.metrics.sparse_top_k_categorical_accuracy(jnp.array(labels), y_pred, k=2)
        assert got.tolist() == expected
    accuracy = tg.metrics.sparse_top_k_categorical_accuracy
    assert not jnp.any(accuracy(jnp.array([-1, 3, 7]), jnp.ones((3, 3)), k=3))
    assert not jnp.any(accuracy(jnp.array([-1, -1]), jnp.array([[0, 1], [0, -1]]), k=2, from_sorted_ids=True))


# Exactness


def test_counts_of_a_large_batch_are_exact():
    for n in (2**24 + 1, 2**31 - 129):
        total = counted(jnp.asarray(n))
        assert int(total.total) + int(total.rest) == n
        assert total.total.dtype == jnp.float32


@pytest.mark.parametrize(
    "size, spread",
    mostly_slow([(1, 1), (100, 1), (2**15 + 1, 1), (2**15 + 1, 1e6), (2**20 + 2**15, 1), (2**20 + 2**15, 1e6)]),
)
def test_sums_of_weights_are_exact(size: int, spread: float):
    rng = np.random.default_rng(size)
    # Nearly all in one bin, where adding them up one by one is at its worst; some are in none.
    bins = np.where(rng.random(size) < 0.95, 3, rng.integers(0, 7, size)).astype("int32")
    weights = (rng.random(size) * spread ** -rng.random(size)).astype("float32") * rng.choice([1, 1, 1, -0.5], size)
    weights = weights.astype("float32")
    found = histogram(jnp.asarray(bins), (2, 3), jnp.asarray(weights))
    exact = np.bincount(bins, weights.astype("float64"), 7)[:6].reshape(2, 3)
    twice = np.asarray(found.total, "float64") + np.asarray(found.rest, "float64")
    np.testing.assert_allclose(twice, exact, rtol=1e-9, atol=1e-12 * size)
    np.testing.assert_allclose(found.compute(), exact, rtol=2e-7, atol=1e-12 * size)


@pytest.mark.parametrize("weight", [1e-37, 1e-30, 3e38])
def test_sums_of_any_weights(weight: float):
    weights = np.array([weight, 0, weight / 4], "float32")
    found = histogram(jnp.array([0, 0, 1]), (2,), jnp.asarray(weights)).compute()
    np.testing.assert_allclose(found, weights[[0, 2]], rtol=1e-6)


def test_the_gradient_of_a_histogram_is_that_of_a_sum():
    gradient = jax.grad(lambda w: histogram(jnp.array([0, 1, 1, 2]), (2,), w).compute()[1])(jnp.array([0.3, 5, 0.7, 9]))
    assert gradient.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_shows_in_its_bin(bad: float):
    found = histogram(jnp.array([0, 1, 1]), (3,), jnp.array([bad, 1, 2])).merge(
        histogram(jnp.array([2]), (3,), jnp.array([0.5]))
    )
    np.testing.assert_array_equal(found.compute(), [bad, 3, 0.5])


def test_weighted_counts_are_those_of_small_batches():
    size = 2**16
    y_true, y_pred, weight = jnp.zeros(size, jnp.int32), jnp.zeros(size, jnp.int32), jnp.full(size, 0.1, jnp.float32)
    for metric in (tg.metrics.ConfusionMatrix(2), tg.metrics.MeanIoU(2)):
        matrix = metric(y_true, y_pred, sample_weight=weight)
        matrix = (matrix.part if hasattr(matrix, "part") else matrix).compute()
        np.testing.assert_allclose(matrix[0, 0], size * np.float64(np.float32(0.1)), rtol=1e-7)


def test_calibration_of_a_large_batch():
    # Summed one by one, confidences of 8e6 examples were off by 3%.
    size = 2**18
    right = np.arange(size) % 100 < 97
    error = tg.metrics.CalibrationError()(jnp.asarray(right), jnp.full(size, 0.97, jnp.float32))
    np.testing.assert_allclose(float(error), abs(right.mean() - np.float64(np.float32(0.97))), atol=1e-7)


@pytest.mark.parametrize(
    "metric, y_true, y_pred",
    [
        (tg.metrics.ConfusionMatrix(2), [1, 0], [1, 1]),
        (tg.metrics.RocCurve(num_thresholds=3), [1, 0], [0.9, 0.9]),
        (tg.metrics.TruePositives(), [1, 0], [0.9, 0.9]),
    ],
)
def test_counts_of_long_epochs_are_exact(metric: tg.Metric, y_true: Any, y_pred: Any):
    one = metric(jnp.asarray(y_true), jnp.asarray(y_pred))
    # A float32 that counts one by one stops at 2^24.
    many = jax.tree.map(lambda count: count * 2.0**24, one)
    after = jax.jit(lambda counts: jax.lax.fori_loop(0, 1000, lambda _, c: c.merge(one), counts))(many)
    sums = after.part if hasattr(after, "part") else after
    exact = np.asarray(sums.total, "float64") + np.asarray(sums.rest, "float64")
    assert sorted(exact[exact > 0]) == [2**24 + 1000] * 2


def test_equal_metrics_give_accumulators_that_merge():
    def make() -> list[Any]:
        return [
            tg.metrics.Precision(average="macro", zero_division=float("nan")),
            tg.metrics.AUC(thresholds=[0.2, 0.5], label_weights=[1, 2, 3]),
            tg.metrics.PrecisionAtRecall(0.5),
            tg.metrics.FBetaScore(beta=2.0, threshold=0.5),
        ]

    y_true, y_pred = data("binary")
    traces = 0

    @eqx.filter_jit
    def of(metric: Any) -> Any:
        nonlocal traces
        traces += 1
        return metric(y_true, y_pred)

    for a, b in zip(make(), make(), strict=True):
        one, other = of(a), of(b)
        assert jax.tree.structure(one) == jax.tree.structure(other)
        np.testing.assert_array_equal(one.merge(other).compute(), one.compute())
    assert traces == 4


# In a model


def test_figures_of_a_model(getkey: Any):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 4)).astype("float32"), np.eye(3, dtype="int32")[rng.integers(0, 3, 10)]
    metrics = [
        tg.metrics.ConfusionMatrix(),
        tg.metrics.F1Score(average="macro"),
        tg.metrics.RocCurve(num_thresholds=4, from_logits=True),
        tg.metrics.AUC(from_logits=True),
    ]
    model = tg.Model(eqx.nn.Linear(4, 3, key=getkey()), metrics=metrics)
    weight = np.arange(10, dtype="float32")
    figures = model.evaluate(x, y, batch_size=4, sample_weight=weight, verbose=0)
    assert list(figures) == ["confusion_matrix", "f1_score", "roc_curve", "auc"]
    for metric, name in zip(metrics, figures, strict=True):
        expected = metric(y, model.predict(x), sample_weight=weight).compute()
        assert isinstance(figures[name], float if expected.ndim == 0 else np.ndarray)
        np.testing.assert_allclose(figures[name], expected, rtol=1e-6)


# Errors


@pytest.mark.parametrize(
    "make, match",
    [
        (
            lambda: tg.metrics.Precision(average=cast(Any, "samples")),
            "`average` is one of 'micro', .* and None, and got 'samples'",
        ),
        (
            lambda: tg.metrics.Recall(average="macro", class_id=1),
            "`average='macro'` is about all classes, and `class_id=1`",
        ),
        (lambda: tg.metrics.Precision(zero_division=0.5), "`zero_division` is 0, 1 or NaN, .* and got 0.5"),
        (lambda: tg.metrics.Precision(top_k=0), "`top_k` is how many .* at least 1, and got 0"),
        (lambda: tg.metrics.Specificity(thresholds=[0.5, 1.5]), "`thresholds` is a number from 0 to 1, .* and got 1.5"),
        (lambda: tg.metrics.TruePositives(thresholds=[]), "`thresholds` is empty"),
        (lambda: tg.metrics.TopKCategoricalAccuracy(k=0), "`k` is how many .* at least 1, and got 0"),
        (lambda: tg.metrics.SparseTopKCategoricalAccuracy(k=True), "`k` is how many .* and got True"),
        (lambda: tg.metrics.FBetaScore(beta=0.0), "`beta` is a positive number, and got 0.0"),
        (lambda: tg.metrics.FBetaScore(average=cast(Any, "binary")), "`average` is one of"),
        (
            lambda: tg.metrics.F1Score(threshold=2.0),
            "`threshold` is a number from 0 to 1, .* and got 2.0",
        ),
        (lambda: tg.metrics.AUC(curve=cast(Any, "roc")), "`curve` is one of 'ROC', 'PR' and 'PRGAIN', and got 'roc'"),
        (
            lambda: tg.metrics.AUC(summation_method=cast(Any, "mid")),
            "`summation_method` is one of 'interpolation'.* got 'mid'",
        ),
        (
            lambda: tg.metrics.AUC(num_thresholds=1),
            "`num_thresholds` is how many thresholds .* 2, and got 1",
        ),
        (lambda: tg.metrics.AUC(thresholds=[0.5, 1.5]), "`thresholds` is a list of numbers from 0 to 1, and got 1.5"),
        (lambda: tg.metrics.AUC(label_weights=[-1.0]), "`label_weights` is a list .* aren't negative, and got -1.0"),
        (lambda: tg.metrics.RocCurve(num_thresholds=1), "`num_thresholds` is how many .* at least 2, and got 1"),
        (
            lambda: tg.metrics.RocCurve(class_id=-1),
            "`class_id` is an index along .*, at least 0, and got -1",
        ),
        (lambda: tg.metrics.PrecisionAtRecall(1.5), "`recall` is a number from 0 to 1, and got 1.5"),
        (lambda: tg.metrics.RecallAtPrecision(-0.5), "`precision` is a number from 0 to 1, and got -0.5"),
        (lambda: tg.metrics.SensitivityAtSpecificity(1.5), "`specificity` is a number from 0 to 1"),
        (lambda: tg.metrics.SpecificityAtSensitivity(1.5), "`sensitivity` is a number from 0 to 1"),
        (
            lambda: tg.metrics.SpecificityAtSensitivity(0.5, num_thresholds=0),
            "`num_thresholds` is how many .* at least 1, and got 0",
        ),
        (lambda: tg.metrics.AveragePrecision(average=cast(Any, "binary")), "`average` is one of"),
        (lambda: tg.metrics.ConfusionMatrix(1), "`num_classes` is how many classes there are, at least 2, and got 1"),
        (
            lambda: tg.metrics.ConfusionMatrix(normalize=cast(Any, "rows")),
            "`normalize` is one of 'true', .* and got 'rows'",
        ),
        (
            lambda: tg.metrics.BalancedAccuracy(3, threshold=0.5),
            "`threshold` is about two classes, and `num_classes` is 3",
        ),
        (
            lambda: tg.metrics.CohenKappa(weights=cast(Any, "cubic")),
            "`weights` is one of 'linear', 'quadratic' and None, .* 'cubic'",
        ),
        (lambda: tg.metrics.IoU(3, [0, 3]), r"`target_class_ids` is a list of classes from 0 to 2, .* got \(0, 3\)"),
        (lambda: tg.metrics.BinaryIoU([]), r"`target_class_ids` is a list of classes from 0 to 1, at least one"),
        (lambda: cast(Any, tg.metrics.MeanIoU)(), "missing .* argument: 'num_classes'"),
        (lambda: tg.metrics.CalibrationError(num_bins=0), "`num_bins` is how many bins .* at least 1, and got 0"),
        (lambda: tg.metrics.AUC(num_labels=3), "`num_labels=3` is about several labels: pass `multi_label=True`"),
        (lambda: tg.metrics.AUC(label_weights=cast(Any, "abc")), "`label_weights` is a list of numbers, and got 'abc'"),
        (lambda: tg.metrics.F1Score(average="macro", class_id=1), "`average='macro'` is about all classes"),
        (lambda: tg.metrics.F1Score(threshold=[]), "`threshold` is empty: give at least one"),
        (lambda: tg.metrics.IoU(3, [True]), r"`target_class_ids` is a list of classes .* got \(True,\)"),
        (lambda: tg.metrics.Precision(class_id=cast(Any, "a")), "`class_id` is an index .*, an integer, and got 'a'"),
        (lambda: tg.metrics.Precision(class_id=cast(Any, 1.0)), "`class_id` is an index .*, an integer, and got 1.0"),
        (
            lambda: tg.metrics.ConfusionMatrix(ignore_class=cast(Any, [1])),
            "`ignore_class` is a label, an integer, and got ",
        ),
        (lambda: tg.metrics.AUC(from_logits=cast(Any, "yes")), "`from_logits` is True or False, and got 'yes'"),
        (
            lambda: tg.metrics.CalibrationError(norm=cast(Any, "l3")),
            "`norm` is one of 'l1', 'l2' and 'max', and got 'l3'",
        ),
    ],
)
def test_what_cannot_be_made(make: Any, match: str):
    with pytest.raises((ValueError, TypeError), match=match):
        make()


INTEGERS, SCORES = jnp.zeros(4, jnp.int32), jnp.ones((4, 3))


@pytest.mark.parametrize(
    "metric, y_true, y_pred, match",
    [
        (tg.metrics.Precision(top_k=4), SCORES, SCORES, r"`top_k=4` is more than the 3 classes of `y_pred` f32\[4,3\]"),
        (tg.metrics.Recall(top_k=1), INTEGERS, jnp.ones(4), r"`y_pred` f32\[4\] has no axis of classes, .*`top_k=1`"),
        (tg.metrics.Precision(average="macro"), INTEGERS, jnp.ones(4), r"`y_pred` f32\[4\] has no axis of classes"),
        (
            tg.metrics.TopKCategoricalAccuracy(),
            SCORES,
            SCORES,
            r"`k=5` is more than the 3 classes of `y_pred` f32\[4,3\]",
        ),
        (tg.metrics.SparseTopKCategoricalAccuracy(), INTEGERS, SCORES, r"`k=5` is more than the 3 classes"),
        (
            tg.metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True),
            INTEGERS,
            SCORES,
            r"`y_pred` f32\[4,3\] must hold class indices where `from_sorted_ids=True`",
        ),
        (tg.metrics.F1Score(), jnp.zeros(4), SCORES, r"`y_true` f32\[4\] and `y_pred` f32\[4,3\] must have the same"),
        (tg.metrics.F1Score(average="micro"), INTEGERS, jnp.ones(4), r"f32\[4\] has no axis of classes"),
        (tg.metrics.AUC(), INTEGERS, jnp.ones((4, 1)), r"must have the same shape.*pass `y_true\[\.\.\., None\]`"),
        (tg.metrics.AUC(multi_label=True, num_labels=2), SCORES, SCORES, r"`num_labels` is 2, .* has 3 labels"),
        (tg.metrics.AUC(multi_label=True), INTEGERS, jnp.ones(4), r"`y_pred` f32\[4\] has no axis of labels"),
        (tg.metrics.AUC(label_weights=[1.0, 2.0]), SCORES, SCORES, r"`label_weights` has 2 weights, .* has 3 labels"),
        (tg.metrics.PrecisionAtRecall(0.5, class_id=3), SCORES, SCORES, r"`y_pred` f32\[4,3\] has no class 3"),
        (
            tg.metrics.TruePositives(),
            jnp.zeros(4),
            SCORES,
            r"`y_true` f32\[4\] and `y_pred` f32\[4,3\] must have the same shape",
        ),
        (
            tg.metrics.ConfusionMatrix(),
            INTEGERS,
            INTEGERS,
            r"`num_classes` is needed where `y_pred` i32\[4\] holds class",
        ),
        (tg.metrics.ConfusionMatrix(2), INTEGERS, SCORES, r"`y_pred` f32\[4,3\] is of 3 classes .*`num_classes` is 2"),
        (tg.metrics.ConfusionMatrix(3), jnp.zeros(4), SCORES, r"`y_true` f32\[4\] .*of an integer dtype"),
        (
            tg.metrics.ConfusionMatrix(3),
            jnp.zeros(4),
            INTEGERS,
            r"`y_true` f32\[4\] must hold class indices, of an integer",
        ),
        (tg.metrics.CohenKappa(), INTEGERS, jnp.ones(4), r"`y_pred` f32\[4\] has no scores .*pass `threshold=0.5`"),
        (
            tg.metrics.CohenKappa(),
            INTEGERS[:, None],
            jnp.ones((4, 1)),
            r"f32\[4,1\] has no scores .*pass `threshold=0.5`",
        ),
        (tg.metrics.CohenKappa(threshold=0.5), INTEGERS, SCORES, r"must have the same shape"),
        (
            tg.metrics.MeanIoU(3),
            INTEGERS,
            SCORES,
            r"`y_pred` f32\[4,3\] must hold class indices.*`sparse_y_pred=False`",
        ),
        (
            tg.metrics.MeanIoU(3),
            SCORES,
            INTEGERS,
            r"`y_true` f32\[4,3\] must hold class indices.*`sparse_y_true=False`",
        ),
        (
            tg.metrics.MeanIoU(3),
            INTEGERS,
            INTEGERS[:, None],
            r"`y_true` i32\[4\] and `y_pred` i32\[4,1\] must have the same",
        ),
        (tg.metrics.OneHotMeanIoU(4), SCORES, SCORES, r"`y_true` f32\[4,3\] is of 3 classes along axis -1, .* is 4"),
        (tg.metrics.OneHotMeanIoU(4), INTEGERS, SCORES, r"`y_true` i32\[4\] has no axis of classes at `axis=-1`"),
        (tg.metrics.BrierScore(), INTEGERS, jnp.ones((4, 1)), r"must have the same shape"),
        (tg.metrics.CalibrationError(), jnp.zeros(4), SCORES, r"must have the same shape"),
        (tg.metrics.ExactMatch(), INTEGERS, SCORES, r"must have the same shape"),
        (tg.metrics.HammingLoss(), INTEGERS, SCORES, r"must have the same shape"),
    ],
)
def test_what_does_not_fit(metric: tg.Metric, y_true: Any, y_pred: Any, match: str):
    with pytest.raises(tg.ContractError, match=rf"(?s)metric `\w+` \({type(metric).__name__}\.call\): .*{match}"):
        metric(y_true, y_pred)
    # The same while tracing.
    with pytest.raises(tg.ContractError, match=rf"(?s){match}"):
        jax.eval_shape(lambda a, b: metric(a, b).compute(), y_true, y_pred)


@pytest.mark.parametrize(
    "metric", [tg.metrics.AUC(), tg.metrics.ConfusionMatrix(threshold=0.5), tg.metrics.CalibrationError()]
)
def test_weights_that_do_not_line_up(metric: tg.Metric):
    with pytest.raises(tg.ContractError, match=r"`sample_weight` f32\[4,2\] doesn't line up with the values"):
        metric(jnp.zeros((4, 3), jnp.int32), SCORES, sample_weight=jnp.ones((4, 2)))


# The docs
