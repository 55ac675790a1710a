"""Losses and metrics of survival against sums over pairs and times in NumPy float64.

The formulas of `SurvivalAUC` and `SurvivalBrierScore` equal scikit-survival's values within 1e-13.

| class | reference | tolerance |
|---|---|---|
| `ConcordanceIndex` | all pairs, one by one | 1e-6 |
| `Cox` | the partial likelihood by times, with ties and weights | 1e-5 |
| `DiscreteHazards` | the product over intervals | 1e-5 |
| `Censoring` | the product over times, with ties | 1e-6 |
| `SurvivalAUC` | all pairs, one by one, and Kaplan and Meier's estimate | 1e-6 |
| `SurvivalBrierScore` | examples and times, one by one | 1e-6 |
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_survival import (
    concordance,
    cox,
    discrete_hazards,
    integrated,
    mean_auc,
    survival_auc,
    survival_brier,
    uncensored,
)

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N = 40
# Many of the same time and the same risk.
TIMES = np.stack([RNG.integers(1, 9, N), RNG.integers(0, 2, N)], axis=1).astype("float32")
RISKS = np.round(RNG.normal(size=N), 1).astype("float32")
WEIGHTS = RNG.integers(0, 4, N).astype("float32")
LOSSES = [tg.losses.Cox(ties=ties, reduction="weighted_mean") for ties in ("efron", "breslow")]
INDEX = tg.metrics.ConcordanceIndex(capacity=64)


@jax.jit
def values(y: Any, z: Any, weight: Any) -> Any:
    one, other = (INDEX(y[cut], z[cut], sample_weight=weight[cut]) for cut in (slice(11), slice(11, None)))
    return [one.merge(other).compute(), *(loss(y, z, sample_weight=weight) for loss in LOSSES)]


@pytest.mark.parametrize("weight", [np.ones(N, "float32"), WEIGHTS], ids=["equal", "weighted"])
def test_equal_their_definitions(weight: Any):
    index, *losses = values(TIMES, RISKS, weight)
    np.testing.assert_allclose(index, concordance(INDEX, TIMES, RISKS, weight), rtol=1e-6)
    for loss, got in zip(LOSSES, losses, strict=True):
        total, count = cox(loss, TIMES.astype("float64"), RISKS.astype("float64"), weight.astype("float64"))
        np.testing.assert_allclose(got, total / count, rtol=1e-5)


def test_nothing_that_happened():
    censored = TIMES * [1, 0]
    assert [float(value) for value in values(censored, RISKS, WEIGHTS)] == [0, 0, 0]
    assert [float(value) for value in values(TIMES, RISKS, 0 * WEIGHTS)] == [0, 0, 0]


def test_what_is_neither_0_nor_1_shows():
    unknown = TIMES.copy()
    unknown[3, 1] = 2
    assert np.all(np.isnan(values(unknown, RISKS, np.ones(N, "float32"))))
    assert np.all(np.isfinite(values(unknown, RISKS, np.ones(N, "float32") * (np.arange(N) != 3))))


def test_more_than_there_is_room_for():
    small = tg.metrics.ConcordanceIndex(capacity=30)
    halves = [small(TIMES[cut], RISKS[cut]) for cut in (slice(20), slice(20, None))]
    assert np.isnan(float(halves[0].merge(halves[1])))
    with pytest.raises(tg.ContractError, match="40 examples are more than there is room for: pass `capacity=`"):
        small(TIMES, RISKS)


def test_discrete_hazards():
    y = np.stack([RNG.integers(0, 5, N), RNG.integers(0, 2, N)], axis=1).astype("int32")
    logits = RNG.normal(size=(N, 5)).astype("float32") * 5
    loss = tg.losses.DiscreteHazards(reduction="none")
    np.testing.assert_allclose(loss(y, logits), discrete_hazards(loss, y, logits.astype("float64")), rtol=1e-5)
    outside = loss(np.array([[5, 1], [-1, 0], [4, 1], [1, 2]] * 10), logits)
    assert np.isnan(outside[:4]).tolist() == [True, True, False, True]


TRAIN = np.stack([RNG.integers(1, 12, 60), RNG.integers(0, 2, 60)], axis=1).astype("float32")
CENSORING = tg.metrics.Censoring(TRAIN)
AT = (2.0, 3.5, 6.0)
SURVIVING = RNG.uniform(size=(N, 3)).astype("float32")
SCORES = [tg.metrics.SurvivalBrierScore(AT, censoring=CENSORING, by_time=by_time) for by_time in (True, False)]
AUCS = [tg.metrics.SurvivalAUC(AT, censoring=CENSORING, capacity=64, by_time=by_time) for by_time in (True, False)]


@jax.jit
def weighed_values(y: Any, s: Any, r: Any, weight: Any) -> Any:
    found = []
    for metric, predicted in zip([*SCORES, *AUCS], (s, s, r, r), strict=True):
        cuts = (slice(11), slice(11, None))
        one, other = (metric(y[cut], predicted[cut], sample_weight=weight[cut]) for cut in cuts)
        found.append(one.merge(other).compute())
    return found


def test_censoring():
    at: Any = np.array([0.0, 0.5, *range(1, 12), 3.25], "float32")
    np.testing.assert_allclose(CENSORING(at), [uncensored(TRAIN, t) for t in at], rtol=1e-6)
    assert np.isnan(tg.metrics.Censoring([[1, 0], [2, 1]])(jnp.array([2.0, 2.5]))).tolist() == [False, True]
    assert tg.metrics.Censoring([[1, 1], [2, 0]])(jnp.array([1.0, 2.0, 2.5])).tolist() == [1, 0, 0]


@pytest.mark.parametrize("weight", [np.ones(N, "float32"), WEIGHTS], ids=["equal", "weighted"])
def test_what_is_weighed_by_censoring(weight: Any):
    by_time, whole, areas, area = weighed_values(TIMES, SURVIVING, RISKS, weight)
    each = survival_brier(TRAIN, AT, TIMES, SURVIVING.astype("float64"))
    np.testing.assert_allclose(by_time, np.average(each, axis=0, weights=weight), rtol=1e-6)
    np.testing.assert_allclose(whole, np.average(integrated(AT, each), weights=weight), rtol=1e-6)
    expected = survival_auc(TRAIN, AT, TIMES, RISKS, weight)
    np.testing.assert_allclose(areas, expected, rtol=1e-6)
    np.testing.assert_allclose(area, mean_auc(AT, TIMES, expected, weight), rtol=1e-6)


def test_nobody_and_what_isnt_known():
    nobody = weighed_values(TIMES, SURVIVING, RISKS, 0 * WEIGHTS)
    assert all(np.all(value == 0) for value in nobody)
    wrong = TIMES.copy()
    wrong[3, 1] = 2
    assert all(np.all(np.isnan(value)) for value in weighed_values(wrong, SURVIVING, RISKS, 1 + WEIGHTS))
    # Censoring is known up to 4, and the last of the times is 6.
    short = tg.metrics.Censoring([[4.0, 1]])
    y, r = np.array([[5.0, 1], [8, 0]], "float32"), np.array([0.5, 0.1], "float32")
    found = jax.jit(
        lambda y, r: (
            tg.metrics.SurvivalAUC(AT, censoring=short, capacity=2)(y, r).compute(),
            tg.metrics.SurvivalBrierScore(AT, censoring=short, by_time=True)(y, SURVIVING[:2]).compute(),
        )
    )(y, r)
    assert np.isnan(found[0]) and np.isnan(found[1]).tolist() == [False, False, True]


def test_mistakes_of_times_and_censoring():
    with pytest.raises(ValueError, match="`times` are numbers, at least one, from the least to the largest, and got"):
        tg.metrics.SurvivalAUC([3.0, 2.0], censoring=CENSORING)
    with pytest.raises(TypeError, match="`times` are numbers, at least one"):
        tg.metrics.SurvivalAUC(["a"], censoring=CENSORING)
    with pytest.raises(TypeError, match="`censoring` is what `tg.metrics.Censoring` makes of the labels of the train"):
        tg.metrics.SurvivalBrierScore(AT, censoring=TRAIN)  # pyright: ignore[reportArgumentType]
    with pytest.raises(tg.ContractError, match=r"must hold a probability for each of the 3 times, \(batch, 3\)"):
        SCORES[0](TIMES, SURVIVING[:, :2])
    with pytest.raises(tg.ContractError, match=r"must hold two columns, \(n, 2\)"):
        tg.metrics.Censoring(TIMES[:, 0])
    with pytest.raises(ValueError, match="`y_true` holds times, and 0 or 1, and got NaN or another number"):
        tg.metrics.Censoring(TIMES + 1)


def test_mistakes():
    with pytest.raises(tg.ContractError, match=r"must hold two columns, \(batch, 2\): the time, and 1 if it happened"):
        INDEX(TIMES[:, 0], RISKS)
    with pytest.raises(tg.ContractError, match=r"the logarithm of a hazard for each example, \(batch,\). Pass `y_pred"):
        LOSSES[0](TIMES, RISKS[:, None])
    with pytest.raises(tg.ContractError, match="intervals of an integer dtype are expected. `jnp.digitize` makes them"):
        tg.losses.DiscreteHazards()(TIMES, np.zeros((N, 3), "float32"))
    with pytest.raises(ValueError, match="`ties` is one of 'efron' and 'breslow', and got 'exact'"):
        tg.losses.Cox(ties="exact")
