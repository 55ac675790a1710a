"""Exact areas, calibration, likelihood ratios, agreement and fairness, against other libraries and brute force.

| metric | reference | tolerance |
|---|---|---|
| `AUC(capacity=)` | `sklearn.metrics.roc_auc_score` | 1e-6 |
| `AveragePrecision(capacity=)` | `sklearn.metrics.average_precision_score` | 1e-6 |
| `EqualErrorRate` | `sklearn.metrics.roc_curve` and a root | 1e-6 |
| `LogAUC` | trapezes on a fine grid of the curve of `sklearn.metrics.roc_curve` | 1e-6 |
| `CumulativeGain`, `Lift` | example by example in NumPy; `sklearn.metrics.precision_score` | 1e-6 |
| `BestThreshold`, `ConfusionAtBestThreshold` | one threshold after the other in NumPy | 1e-6 |
| likelihood ratios | `sklearn.metrics.class_likelihood_ratios` | 1e-6 |
| `CalibrationError(classwise=, adaptive=)` | NumPy | 1e-6 |
| `TheilsU` | `sklearn.metrics.homogeneity_score` | 1e-6 |
| `FleissKappa` | the example of its author, and NumPy | 1e-6 |
| `ExpectedCost` | NumPy | 1e-6 |
| `DemographicParity`, `EqualizedOdds` | NumPy, which was once compared with fairlearn | 1e-6 |
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn

import treegy as tg
from helpers.formulas_of_classes import (
    best_threshold,
    cumulative_gain,
    demographic_parity,
    equal_error_rate,
    equalized_odds,
    fleiss_kappa,
    log_auc,
)

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N = 40
BINARY = RNG.integers(0, 2, (N, 3)).astype("int32")
# Rounded, so that there are ties, and shifted, so that labels have to do with it.
SCORES = np.round(RNG.normal(size=(N, 3)) + BINARY, 1).astype("float32")
PROBABILITIES = np.clip(SCORES / 4 + 0.4, 0, 1).astype("float32")
LABELS = RNG.integers(0, 4, N).astype("int32")
OF_CLASSES = RNG.dirichlet(np.ones(4), N).astype("float32")
GROUPS = RNG.integers(0, 3, N).astype("int32")
WEIGHT = RNG.integers(0, 4, N).astype("float32")
CAPACITY = N + 3
FAIR: Any = (tg.metrics.DemographicParity, tg.metrics.EqualizedOdds)


def merged(metrics: dict[str, Any], **data: Any) -> list[tuple[Any, dict[str, np.ndarray]]]:
    """The metric values of two batches, unweighted and weighted, by one program. The second batch is padded."""

    def of_batch(data: Any) -> Any:
        def given(metric: Any) -> Any:
            return {k: data[k] for k in metric._asking().request.names if k in data}

        return {name: metric(**given(metric)) for name, metric in metrics.items()}

    @jax.jit
    def figures(first: Any, second: Any) -> Any:
        one, two = of_batch(first), of_batch(second)
        return {name: one[name].merge(two[name]).compute() for name in one}

    found: list[Any] = []
    for weight in (np.ones(N, "float32"), WEIGHT):
        given = data | {"sample_weight": weight}
        second = {k: np.concatenate([v[20:], np.zeros_like(v[:3])]) for k, v in given.items()}
        values = figures({k: v[:20] for k, v in given.items()}, second)
        found.append((weight, {name: np.asarray(value) for name, value in values.items()}))
    return found


def together(*calls: Any) -> list[float]:
    """The metric values that some calls give, by one program."""
    return [float(value) for value in jax.jit(lambda: [call().compute() for call in calls])()]


def close(found: Any, expected: Any) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def test_exact_areas():
    y, p, average_precision = BINARY.ravel(), SCORES.ravel(), sklearn.average_precision_score
    both = merged(
        {
            "auc": tg.metrics.AUC(capacity=CAPACITY),
            "by label": tg.metrics.AUC(capacity=CAPACITY, multi_label=True, label_weights=[1, 2, 3]),
            "label weights": tg.metrics.AUC(capacity=CAPACITY, label_weights=[1, 2, 0]),
            "ap": tg.metrics.AveragePrecision(capacity=CAPACITY),
            "ap by label": tg.metrics.AveragePrecision(capacity=CAPACITY, average=None),
            "eer": tg.metrics.EqualErrorRate(capacity=CAPACITY),
            "log": (log := tg.metrics.LogAUC((0.05, 0.5), capacity=CAPACITY)),
            "gain": (gain := tg.metrics.CumulativeGain([0.1, 0.33, 1], capacity=CAPACITY)),
            "lift": tg.metrics.Lift([0.1, 0.33, 1], capacity=CAPACITY),
        },
        y_true=BINARY,
        y_pred=SCORES,
    )
    for weight, found in both:
        by_label = np.repeat(weight, 3)
        repeated = [np.repeat(a, weight.astype(int), 0) for a in (BINARY, SCORES)]
        label_weights = np.tile([1.0, 2.0, 0.0], N) * by_label
        areas = [sklearn.roc_auc_score(BINARY[:, i], SCORES[:, i], sample_weight=weight) for i in range(3)]
        expected = {
            "auc": sklearn.roc_auc_score(y, p, sample_weight=by_label),
            "by label": np.average(areas, weights=[1, 2, 3]),
            "label weights": sklearn.roc_auc_score(y, p, sample_weight=label_weights),
            "ap": average_precision(y, p, sample_weight=by_label),
            "ap by label": [average_precision(BINARY[:, i], SCORES[:, i], sample_weight=weight) for i in range(3)],
            "eer": equal_error_rate(None, *repeated),
            "log": log_auc(log, *repeated),
            "gain": cumulative_gain(gain, *repeated),
            "lift": cumulative_gain(gain, *repeated) / [0.1, 0.33, 1],
        }
        close(found, expected)


def test_areas_of_many_examples_are_exact_and_never_of_some():
    y = RNG.integers(0, 2, 20_000)
    p = (RNG.normal(size=20_000) + y).astype("float32")
    auc, ap = tg.metrics.AUC(capacity=20_000), tg.metrics.AveragePrecision(capacity=20_000)
    figures = jax.jit(lambda y, p: (auc(y, p).compute(), ap(y, p).compute()))(y, p)
    expected = sklearn.roc_auc_score(y, p), sklearn.average_precision_score(y, p)
    np.testing.assert_allclose(figures, expected, atol=1e-6)

    small = tg.metrics.AUC(capacity=3)
    one = lambda: small(jnp.array([0, 1]), jnp.array([0.1, 0.9]))  # noqa: E731
    padding = lambda: small(jnp.array([0, 1]), jnp.array([jnp.nan, 0.5]), sample_weight=jnp.array([0, 1]))  # noqa: E731
    found = together(one, lambda: one().merge(one()), lambda: one().merge(padding()))
    np.testing.assert_array_equal(found, [1, np.nan, 1])
    with pytest.raises(tg.ContractError, match="4 examples are more than there is room for: pass `capacity=`"):
        small(jnp.array([0, 1, 0, 1]), jnp.zeros(4))


def test_areas_of_one_class_and_of_what_is_unknown():
    zeros, scores = np.zeros(3, int), np.array([0.1, 0.2, 0.2], "float32")
    metrics = [
        tg.metrics.AUC(capacity=3),
        tg.metrics.AveragePrecision(capacity=3),
        tg.metrics.EqualErrorRate(capacity=3),
        tg.metrics.EqualErrorRate(),
        tg.metrics.LogAUC((0.1, 1), capacity=3),
        tg.metrics.LogAUC((0.1, 1)),
        tg.metrics.CumulativeGain(0.5, capacity=3),
        tg.metrics.Lift(0.5),
    ]

    @jax.jit
    def figures(y_true: Any, y_pred: Any) -> Any:
        return jnp.stack([metric(y_true, y_pred).compute() for metric in metrics])

    assert figures(zeros, scores).tolist() == [0] * 8
    assert np.all(np.isnan(figures(zeros + [0, 2, 0], scores)))
    assert np.all(np.isnan(figures(zeros, np.array([0.1, np.nan, 0.2], "float32"))))
    # Of equal predictions, the chance.
    expected = [0.5, 1 / 3, 0.5, 0.5, 0.9 / np.log(10), 0.9 / np.log(10), 0.5, 1]
    np.testing.assert_allclose(figures(zeros + [0, 1, 0], scores * 0), expected, atol=1e-6)


def test_lift_is_that_of_what_is_positive_then():
    y, p = BINARY.ravel(), RNG.permutation(BINARY.size).astype("float32")
    lift = tg.metrics.Lift(0.25, capacity=BINARY.size)
    expected = sklearn.precision_score(y, p >= 0.75 * len(p)) / y.mean()
    np.testing.assert_allclose(float(lift(y, p)), expected, rtol=1e-6)


@pytest.mark.parametrize("criterion", ["youden", "f1", "accuracy", "mcc"])
def test_the_best_threshold(criterion: Any):
    best = tg.metrics.BestThreshold(criterion, num_thresholds=11)
    matrix = tg.metrics.ConfusionAtBestThreshold(criterion, num_thresholds=11)
    metrics: dict[str, Any] = {"best": best, "matrix": matrix}
    for weight, found in merged(metrics, y_true=BINARY, y_pred=PROBABILITIES):
        repeated = [np.repeat(a, weight.astype(int), 0) for a in (BINARY, PROBABILITIES)]
        close(found, dict(zip(("best", "matrix"), best_threshold(best, *repeated), strict=True)))
    # Of one class, of nothing, of what is unknown.
    zeros, some = np.zeros(3, int), np.array([0.05, 0.25, 0.5], "float32")

    @jax.jit
    def figures(y_true: Any, y_pred: Any, weight: Any) -> Any:
        return [it(y_true, y_pred, sample_weight=weight).compute() for it in (best, matrix)]

    for y_true in (zeros, zeros + 1):
        expected = best_threshold(best, y_true, some)
        np.testing.assert_allclose(figures(y_true, some, np.ones(3))[0], expected[0], atol=1e-6)
    assert figures(zeros, some, np.zeros(3))[1].tolist() == [[0, 0], [0, 0]]
    assert np.isnan(figures(zeros + 2, some, np.ones(3))[0])
    assert np.all(np.isnan(figures(zeros + 2, some, np.ones(3))[1]))


def test_options_that_no_metric_can_have():
    metrics: Any = tg.metrics
    with pytest.raises(ValueError, match="`criterion` is one of 'youden', 'f1', 'accuracy' and 'mcc', and got"):
        metrics.BestThreshold("auc")
    for wrong in (0, 1.5, [0.1, 0.0], []):
        with pytest.raises(ValueError, match="`fraction` is a number above 0 up to 1, or a list of such numbers, and"):
            metrics.Lift(wrong)
    for wrong in ("a", None, True, ["a"]):
        with pytest.raises(TypeError, match="`fraction` is a number above 0 up to 1, or a list of such numbers, and"):
            metrics.CumulativeGain(wrong)
    for wrong in ((0, 0.1), (0.1, 0.1), (0.1, 2)):
        with pytest.raises(ValueError, match="`false_positive_rates` are two numbers above 0 up to 1, of which the"):
            metrics.LogAUC(wrong)
    for wrong in (0.1, "ab", (0.1,)):
        with pytest.raises(TypeError, match="`false_positive_rates` are two numbers above 0 up to 1, of which the"):
            metrics.LogAUC(wrong)


def test_thresholds_and_a_capacity_are_a_mistake():
    both: list[tuple[Any, dict[str, Any]]] = [
        (tg.metrics.AUC, {"thresholds": [0.5]}),
        (tg.metrics.AUC, {"num_thresholds": 100}),
        (tg.metrics.AveragePrecision, {"num_thresholds": 100}),
        (tg.metrics.EqualErrorRate, {"num_thresholds": 100}),
        (tg.metrics.Lift, {"num_thresholds": 100}),
    ]
    for metric, options in both:
        with pytest.raises(ValueError, match=f"`capacity=9` keeps predictions as they are, and `{[*options][0]}` is"):
            metric(capacity=9, **options)
    with pytest.raises(ValueError, match=r"`capacity=9` is about examples that are kept: pass `adaptive=True`"):
        tg.metrics.CalibrationError(capacity=9)
    with pytest.raises(tg.ContractError, match="`num_labels` is 2, and `y_pred`"):
        tg.metrics.AUC(capacity=9, multi_label=True, num_labels=2)(jnp.zeros((2, 3), int), jnp.zeros((2, 3)))


def calibration(right: Any, confidence: Any, weight: Any, bins: int, adaptive: bool) -> float:
    right, confidence = (np.repeat(a, weight.astype(int)).astype("float64") for a in (right, confidence))
    if adaptive:
        below = np.sum(confidence[:, None] > confidence, axis=1)
        equal = np.sum(confidence[:, None] == confidence, axis=1)
        places = np.minimum(np.floor(bins * (below + equal / 2) / len(right)), bins - 1)
    else:
        places = np.searchsorted((np.arange(1, bins) / bins).astype("float32"), confidence)
    return sum(abs(np.sum((right - confidence)[places == b])) for b in range(bins)) / len(right)


def test_calibration():
    adaptive: dict[str, Any] = {"adaptive": True, "capacity": CAPACITY, "num_bins": 4}
    metrics = {
        "classwise": tg.metrics.CalibrationError(classwise=True),
        "adaptive": tg.metrics.CalibrationError(**adaptive),
        "both": tg.metrics.CalibrationError(classwise=True, **adaptive),
    }
    of_labels = merged(metrics, y_true=LABELS, y_pred=OF_CLASSES)
    # One-hot labels are as good, of which nothing else says what is right.
    del metrics["adaptive"]
    of_one_hot = merged(metrics, y_true=np.eye(4, dtype="float32")[LABELS], y_pred=OF_CLASSES)
    for (weight, found), (_, again) in zip(of_labels, of_one_hot, strict=True):
        each = [
            np.mean([calibration(LABELS == c, OF_CLASSES[:, c], weight, bins, adaptive) for c in range(4)])
            for bins, adaptive in ((15, False), (4, True))
        ]
        top = calibration(OF_CLASSES.argmax(-1) == LABELS, OF_CLASSES.max(-1), weight, 4, True)
        close(found, {"classwise": each[0], "adaptive": top, "both": each[1]})
        close(again, {"classwise": each[0], "both": each[1]})


def test_bins_of_equally_many_examples_are_those_of_numpy():
    p = RNG.permutation(np.linspace(0.01, 0.99, 60).astype("float32"))
    y = RNG.integers(0, 2, 60)
    order = np.argsort(p)
    bins = zip(np.array_split(y[order], 6), np.array_split(p[order], 6), strict=True)
    expected = float(np.mean([abs(one.mean() - other.mean()) for one, other in bins]))
    metric = tg.metrics.CalibrationError(adaptive=True, num_bins=6, capacity=60)
    found = together(
        lambda: metric(y, p),
        lambda: metric(y.astype("float32") / 2, p),
        lambda: metric(y, np.where(p > 0.5, np.nan, p)),
        lambda: metric(y, p).merge(metric(y, p)),
    )
    np.testing.assert_allclose(found, [expected, np.nan, np.nan, np.nan], atol=1e-6)


def test_likelihood_ratios():
    metrics = {
        f"{which.__name__} {average}": which(average=average)
        for which in (tg.metrics.PositiveLikelihoodRatio, tg.metrics.NegativeLikelihoodRatio)
        for average in ("micro", None, "macro")
    }
    _, (_, found) = merged(metrics, y_true=BINARY, y_pred=PROBABILITIES)
    chosen = PROBABILITIES > 0.5
    together = sklearn.class_likelihood_ratios(BINARY.ravel(), chosen.ravel(), sample_weight=np.repeat(WEIGHT, 3))
    each = [sklearn.class_likelihood_ratios(BINARY[:, i], chosen[:, i], sample_weight=WEIGHT) for i in range(3)]
    expected = {}
    for i, name in enumerate(("PositiveLikelihoodRatio", "NegativeLikelihoodRatio")):
        values = [ratios[i] for ratios in each]
        expected |= {f"{name} micro": together[i], f"{name} None": values, f"{name} macro": np.mean(values)}
    close(found, expected)


def test_likelihood_ratios_that_there_are_not():
    """NaN as in scikit-learn, and never the value of a bad or a perfect test."""
    metrics = [tg.metrics.PositiveLikelihoodRatio(), tg.metrics.NegativeLikelihoodRatio()]
    metrics += [type(metric)(zero_division=0) for metric in metrics]
    figures = jax.jit(lambda y, p: jnp.stack([metric(y, p).compute() for metric in metrics]))
    y, p = np.array([1, 1, 0, 0]), np.array([1.0, 1.0, 0.0, 0.0], "float32")
    np.testing.assert_array_equal(figures(y, p), [np.nan, 0, 0, 0])
    np.testing.assert_array_equal(figures(y, 1 - p), [0, np.nan, 0, 0])
    np.testing.assert_array_equal(figures(0 * y, p), [np.nan, np.nan, 0, 0])


def test_agreement():
    # Fleiss's own example, of 14 raters.
    table = np.array(
        [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]]
        + [[7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    )
    kappa = tg.metrics.FleissKappa()
    counts = RNG.integers(0, 3, (10, 5))
    counts[:2] = [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]  # whom nobody could agree with
    weight, one_hot = np.arange(10) % 3, 4 * np.eye(5, dtype=int)
    ratings = RNG.integers(0, 5, (10, 3))
    of_ratings = tg.metrics.FleissKappa(of=lambda x: jax.nn.one_hot(x, 5).sum(axis=1))
    found = together(
        lambda: kappa(table[:4]).merge(kappa(table[4:])),
        lambda: kappa(counts, sample_weight=weight),
        lambda: of_ratings(x=ratings),
        lambda: kappa(one_hot[[1, 1, 1]]),
        lambda: kappa(one_hot[[1, 2, 1]]),
        lambda: kappa(counts[:2]),
        lambda: kappa(-counts),
    )
    weighted = fleiss_kappa(None, np.repeat(counts, weight, axis=0))
    of_three = fleiss_kappa(None, np.eye(5)[ratings].sum(1))
    np.testing.assert_allclose(found, [0.20993, weighted, of_three, 0, 1, 0, np.nan], atol=5e-6)
    with pytest.raises(tg.ContractError, match=r"`of` gives i32\[3\], and counts of raters are expected"):
        kappa(jnp.zeros(3, int))


COSTS = [[0, 1, 2, 3], [9, 0, 1, 1], [5, 1, -1, 1], [1, 1, 1, 0]]


def test_what_a_confusion_matrix_says():
    metrics = {"u": tg.metrics.TheilsU(), "cost": tg.metrics.ExpectedCost(costs=COSTS)}
    chosen = OF_CLASSES.argmax(-1)
    for weight, found in merged(metrics, y_true=LABELS, y_pred=OF_CLASSES):
        cost = np.average(np.asarray(COSTS)[LABELS, chosen], weights=weight)
        u = sklearn.homogeneity_score(*(np.repeat(a, weight.astype(int)) for a in (LABELS, chosen)))
        close(found, {"u": u, "cost": cost})
    u = tg.metrics.TheilsU(num_classes=2)
    never = tg.metrics.ExpectedCost(num_classes=2, costs=[[0, np.inf], [1, 0]])
    found = together(
        # Where there is nothing to tell: 0, as in torchmetrics.
        lambda: u(np.zeros(3, int), np.array([0, 1, 1])),
        lambda: u(np.array([0, 1, 2]), np.array([0, 1, 1])),
        lambda: never(np.array([1, 1, 0, 0]), np.array([0, 1, 0, 0])),
    )
    np.testing.assert_array_equal(found, [0, np.nan, 0.25])


def test_fairness():
    """Of four groups, one of which is nowhere."""
    options: dict[str, Any] = {"by": "x", "num_groups": 4}
    made: list[Any] = [tg.metrics.DemographicParity(**options, ratio=ratio) for ratio in (False, True)]
    made += [
        tg.metrics.EqualizedOdds(**options, ratio=ratio, agg=agg)
        for ratio in (False, True)
        for agg in ("worst_case", "mean")
    ]
    metrics = {f"{type(metric).__name__} {i}": metric for i, metric in enumerate(made)}
    of = {"DemographicParity": demographic_parity, "EqualizedOdds": equalized_odds}
    for weight, found in merged(metrics, x=GROUPS, y_true=BINARY, y_pred=PROBABILITIES):
        groups, y, p = (np.repeat(a, weight.astype(int), axis=0) for a in (GROUPS, BINARY, PROBABILITIES))
        close(found, {name: of[name.split()[0]](metric, y, p, groups) for name, metric in metrics.items()})


def test_rates_of_groups_at_their_ends():
    metrics = [which(by="x", num_groups=3, ratio=ratio) for which in FAIR for ratio in (False, True)]

    @jax.jit
    def figures(y_true: Any, y_pred: Any, x: Any, weight: Any) -> Any:
        values = {"y_true": y_true, "y_pred": y_pred, "x": x}
        return jnp.stack([metric(**values, sample_weight=weight).compute() for metric in metrics])

    x, y, nobody, ones = np.array([0, 0, 2, 2]), np.array([0, 0, 1, 0]), np.zeros(4, "float32"), np.ones(4, "float32")
    # Nobody is predicted positive: that is alike in all groups.
    assert figures(y, nobody, x, ones).tolist() == [0, 1, 0, 1]
    # As in fairlearn, a group without positive labels has a rate of 0.
    assert figures(y, y.astype("float32"), x, ones).tolist() == [0.5, 0, 1, 0]
    assert figures(y, y.astype("float32"), x, nobody).tolist() == [0, 1, 0, 1]
    assert np.all(np.isnan(figures(y, nobody, x + 1, ones)))
    assert np.all(np.isnan(figures(y, nobody * np.nan, x, ones)))


def test_fairness_in_a_model():
    """By a column of the input, with padding."""

    class First(eqx.Module):
        def __call__(self, scores: Any, group: Any) -> Any:
            return scores

    model = tg.Model(
        First(), metrics=[which(by=lambda x: x["group"], num_groups=3) for which in FAIR] + [tg.metrics.AUC(capacity=N)]
    )
    x = {"scores": PROBABILITIES[:, 0], "group": GROUPS}
    logs = model.evaluate(x, BINARY[:, 0], batch_size=16, verbose=0)
    one = demographic_parity(FAIR[0](by="x", num_groups=3), None, PROBABILITIES[:, 0], GROUPS)
    other = equalized_odds(FAIR[1](by="x", num_groups=3), BINARY[:, 0], PROBABILITIES[:, 0], GROUPS)
    area = sklearn.roc_auc_score(BINARY[:, 0], PROBABILITIES[:, 0])
    close(logs, {"demographic_parity": one, "equalized_odds": other, "auc": area})


def test_mistakes():
    with pytest.raises(TypeError, match="`costs` is a matrix of numbers, a row for each label, and got"):
        tg.metrics.ExpectedCost(costs=[1, 2])
    with pytest.raises(ValueError, match="`costs` has as many columns as rows, one for each class, and got 1 "):
        tg.metrics.ExpectedCost(costs=[[1, 2]])
    with pytest.raises(ValueError, match="`costs` is a matrix of numbers, and has NaN"):
        tg.metrics.ExpectedCost(costs=[[1, 2], [np.nan, 0]])
    with pytest.raises(tg.ContractError, match=r"`costs` is of 4 classes, and the confusion matrix f32\[2,2\] of 2"):
        tg.metrics.ExpectedCost(costs=COSTS, threshold=0.5)(jnp.zeros(2, int), jnp.zeros(2))
    with pytest.raises(ValueError, match="`num_groups` is the number of groups, at least 2, and got 1"):
        tg.metrics.DemographicParity(by="x", num_groups=1)
    with pytest.raises(ValueError, match="`agg` is one of 'worst_case' and 'mean'"):
        tg.metrics.EqualizedOdds(by="x", num_groups=2, agg="max")  # pyright: ignore[reportArgumentType]
    with pytest.raises(tg.ContractError, match="`by` gives f32"):
        tg.metrics.EqualizedOdds(by="x", num_groups=2)(jnp.zeros(2, int), jnp.zeros(2), x=jnp.zeros(2))
