"""Metrics of forecasts against scikit-learn, SciPy and NumPy float64, over several batches, by one program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import spatial, stats
from sklearn import metrics as sklearn

import treegy as tg

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N, D = 60, 3
SHAPE = (N, D)
Q = [0.1, 0.5, 0.8]


def single(values: Any) -> np.ndarray:
    return np.asarray(values, "float32")


NUMBERS = single(RNG.normal(size=SHAPE) + 5)
ROUGHLY = single(NUMBERS + 0.5 * RNG.normal(size=SHAPE))
FEW = single(RNG.integers(0, 5, SHAPE))
AMOUNTS, RATES = (single(np.exp(RNG.normal(size=SHAPE))) for _ in range(2))
MANY_ZEROS = single(np.where(RNG.random(SHAPE) < 0.4, 0, AMOUNTS))
HISTORY = single(RNG.normal(size=(N, 8)).cumsum(-1))
INTERVALS = (single(NUMBERS - RNG.normal(0.5, 1, SHAPE)), single(NUMBERS + RNG.normal(0.5, 1, SHAPE)))
QUANTILES = single(np.sort(NUMBERS[..., None] + RNG.normal(size=(*SHAPE, 3)), -1))
VARIANCES = single(RNG.uniform(0.1, 2, SHAPE))
MEMBERS = single(NUMBERS[:, None] + RNG.normal(size=(N, 4, D)))
SHARES = [single(RNG.dirichlet(np.ones(4), N)) for _ in range(2)]
POSITIONS = [-1.0, 0.0, 3.0, 4.5]


def mean(values: Any, w: Any) -> Any:
    values = np.asarray(values, "float64")
    return np.average(values.reshape(len(values), -1).mean(-1), weights=w)


def by_output(of: Any) -> Any:
    """The mean over the outputs of what scikit-learn or NumPy say of each."""
    return lambda y, p, w: np.mean([of(y[:, i], p[:, i], w) for i in range(D)])


def smape(y: Any, p: Any, w: Any) -> Any:
    return mean(200 * np.abs(y - p) / (np.abs(y) + np.abs(p)), w)


def scaled(season: int) -> Any:
    def value(y: Any, p: Any, w: Any) -> Any:
        x = HISTORY.astype("float64")
        return mean(np.abs(y - p).mean(-1) / np.abs(x[:, season:] - x[:, :-season]).mean(-1), w)

    return value


def squared(y: Any, p: Any, w: Any) -> Any:
    return 1 - sklearn.r2_score(y, p, sample_weight=w)


def normalized(by: Any) -> Any:
    return by_output(lambda y, p, w: np.sqrt(np.average((y - p) ** 2, weights=w)) / by(y, w))


def deviation(y: Any, w: Any) -> Any:
    return np.sqrt(np.average((y - np.average(y, weights=w)) ** 2, weights=w))


def ranged(y: Any, w: Any) -> Any:
    return np.ptp(y[w > 0])


def repeated(of: Any) -> Any:
    """What SciPy says of examples that are there as often as their weights say."""
    return lambda y, p, w: [of(*(np.repeat(a[:, i], w.astype(int)) for a in (y, p))) for i in range(D)]


def kendall_a(y: Any, p: Any) -> Any:
    y, p = (np.sign(a[:, None] - a) for a in (y, p))
    return (y * p).sum() / (len(y) * (len(y) - 1))


def tweedie(of: Any, power: float) -> Any:
    def value(y: Any, p: Any, w: Any) -> Any:
        return of(y.ravel(), p.ravel(), sample_weight=np.repeat(w, D), power=power)

    return value


def winkler(y: Any, p: Any, w: Any) -> Any:
    low, high = p
    return mean(high - low + 2 / 0.2 * (np.maximum(low - y, 0) + np.maximum(y - high, 0)), w)


def gaps(y: Any, p: Any, w: Any) -> Any:
    return np.abs(np.average((y[..., None] <= p).mean(1), weights=w, axis=0) - Q)


def of_normal(y: Any, p: Any, w: Any) -> Any:
    return gaps(y, stats.norm.ppf(Q, p[0][..., None], np.sqrt(p[1])[..., None]), w).mean()


def jensen_shannon(y: Any, p: Any, w: Any) -> Any:
    return mean(spatial.distance.jensenshannon(y, p, axis=1) ** 2, w)


def wasserstein(positions: Any) -> Any:
    def value(y: Any, p: Any, w: Any) -> Any:
        return mean([stats.wasserstein_distance(positions, positions, a, b) for a, b in zip(y, p, strict=True)], w)

    return value


def energy(fair: bool) -> Any:
    def value(y: Any, x: Any, w: Any) -> Any:
        m = x.shape[1]
        apart = np.linalg.norm(x - y[:, None], axis=-1).mean(-1)
        between = np.linalg.norm(x[:, None] - x[:, :, None], axis=-1).sum((1, 2))
        return mean(apart - between / (2 * m * (m - fair)), w)

    return value


def crps_of_members(y: Any, x: Any, w: Any) -> Any:
    each = [
        np.abs(x[..., j] - y).mean(-1) - np.abs(x - x[..., j : j + 1]).mean((-1, -2)) / 2 for j in range(x.shape[-1])
    ]
    return mean(np.mean(each, axis=0), w)


def pinball(y: Any, p: Any, w: Any) -> Any:
    return 2 * np.mean([sklearn.mean_pinball_loss(y, p[..., i], sample_weight=w, alpha=q) for i, q in enumerate(Q)])


def crps_of_normal(y: Any, p: Any, w: Any) -> Any:
    s = np.sqrt(p[1])
    z = (y - p[0]) / s
    return mean(s * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - np.pi**-0.5), w)


M = tg.metrics
LAST = np.moveaxis(MEMBERS, 1, 2)
# The metric, labels and predictions, and the reference, which gets them and the weights in float64.
TABLE: list[tuple[tg.Metric, Any, Any, Any]] = [
    (M.SymmetricMeanAbsolutePercentageError(), NUMBERS, ROUGHLY, smape),
    (
        M.WeightedMeanAbsolutePercentageError(),
        NUMBERS,
        ROUGHLY,
        lambda y, p, w: 100 * (w @ np.abs(y - p)).sum() / (w @ np.abs(y)).sum(),
    ),
    (M.MeanAbsoluteScaledError(), NUMBERS, ROUGHLY, scaled(1)),
    (M.MeanAbsoluteScaledError(seasonality=3), NUMBERS, ROUGHLY, scaled(3)),
    (M.RelativeSquaredError(), NUMBERS, ROUGHLY, squared),
    (M.RelativeSquaredError(squared=False), NUMBERS, ROUGHLY, by_output(lambda y, p, w: np.sqrt(squared(y, p, w)))),
    (
        M.NormalizedRootMeanSquaredError(),
        -NUMBERS,
        -ROUGHLY,
        normalized(lambda y, w: np.abs(np.average(y, weights=w))),
    ),
    (M.NormalizedRootMeanSquaredError(normalization="std"), NUMBERS, ROUGHLY, normalized(deviation)),
    (M.NormalizedRootMeanSquaredError(normalization="range"), NUMBERS, ROUGHLY, normalized(ranged)),
    *(
        (M.MinkowskiDistance(p), NUMBERS, ROUGHLY, lambda y, p, w, k=p: (w @ np.abs(y - p) ** k).sum() ** (1 / k))
        for p in (1, 2, 3.5)
    ),
    *(
        (M.KendallCorrelation(capacity=150, variant=v), y, p, repeated(of))
        for y, p in ((NUMBERS, ROUGHLY), (FEW, FEW[::-1] + single(NUMBERS > 5)))
        for v, of in (
            ("a", kendall_a),
            ("b", lambda y, p: stats.kendalltau(y, p)[0]),
            ("c", lambda y, p: stats.kendalltau(y, p, variant="c")[0]),
        )
    ),
    (M.SpearmanCorrelation(capacity=150), FEW, FEW[::-1], repeated(lambda y, p: stats.spearmanr(y, p)[0])),
    (
        M.D2AbsoluteError(capacity=150),
        FEW,
        ROUGHLY - 3,
        lambda y, p, w: sklearn.d2_absolute_error_score(y, p, sample_weight=w),
    ),
    *((M.TweedieDeviance(k), MANY_ZEROS, RATES, tweedie(sklearn.mean_tweedie_deviance, k)) for k in (0, 1, 1.5)),
    (M.GammaDeviance(), AMOUNTS, RATES, tweedie(sklearn.mean_tweedie_deviance, 2)),
    *((M.D2Tweedie(k), MANY_ZEROS, RATES, tweedie(sklearn.d2_tweedie_score, k)) for k in (0, 1, 1.5)),
    *((M.D2Tweedie(k), AMOUNTS, RATES, tweedie(sklearn.d2_tweedie_score, k)) for k in (2, 3)),
    (
        M.IntervalCoverage(),
        NUMBERS,
        INTERVALS,
        lambda y, p, w: mean((p[0] <= y) & (y <= p[1]), w),
    ),
    (M.IntervalWidth(), NUMBERS, INTERVALS, lambda y, p, w: mean(p[1] - p[0], w)),
    (M.WinklerScore(alpha=0.2), NUMBERS, INTERVALS, winkler),
    (M.QuantileCalibrationError(Q), NUMBERS, QUANTILES, lambda *a: gaps(*a).mean()),
    (M.QuantileCalibrationError(Q, norm="l2"), NUMBERS, QUANTILES, lambda *a: np.sqrt((gaps(*a) ** 2).mean())),
    (M.QuantileCalibrationError(Q, norm="max"), NUMBERS, QUANTILES, lambda *a: gaps(*a).max()),
    (M.QuantileCalibrationError(Q), NUMBERS, (ROUGHLY, VARIANCES), of_normal),
    (M.JensenShannonDivergence(), SHARES[0], SHARES[1], jensen_shannon),
    (M.JensenShannonDivergence(), SHARES[0], 3 * np.eye(4, dtype="float32")[np.arange(N) % 4], jensen_shannon),
    (M.Wasserstein(), SHARES[0], 2 * SHARES[1], wasserstein(range(4))),
    (M.Wasserstein(positions=POSITIONS), SHARES[0], SHARES[1], wasserstein(POSITIONS)),
    (M.EnergyScore(), NUMBERS, MEMBERS, energy(fair=False)),
    (M.EnergyScore(fair=True), NUMBERS, MEMBERS, energy(fair=True)),
    (M.EnsembleCRPS(), NUMBERS, LAST, crps_of_members),
    (M.QuantileCRPS(q=Q), NUMBERS, QUANTILES, pinball),
    (M.GaussianCRPS(), NUMBERS, (ROUGHLY, VARIANCES), crps_of_normal),
    (
        M.GaussianLogScore(),
        NUMBERS,
        (ROUGHLY, VARIANCES),
        lambda y, p, w: mean(-stats.norm.logpdf(y, p[0], np.sqrt(p[1])), w),
    ),
]


def of_batches(data: Any, weight: Any, cuts: Any) -> Any:
    found: list[Any] = []
    for (metric, _, _, _), (y, p) in zip(TABLE, data, strict=True):
        given = [
            {"y_true": y[at], "y_pred": jax.tree.map(lambda a, at=at: a[at], p), "sample_weight": weight[at]}
            for at in cuts
        ]
        if isinstance(metric, M.MeanAbsoluteScaledError):
            given = [{"x": jnp.asarray(HISTORY)[at], **each} for each, at in zip(given, cuts, strict=True)]
        if isinstance(metric, M.IntervalWidth):
            given = [{k: v for k, v in each.items() if k != "y_true"} for each in given]
        first, *others = [metric(**each) for each in given]
        for other in others:
            first = first.merge(other)
        found.append(first.compute())
    return found


DATA = [jax.tree.map(jnp.asarray, (y, p)) for _, y, p, _ in TABLE]
compiled = jax.jit(lambda weight: of_batches(DATA, weight, [slice(0, 20), slice(20, N)]))


@pytest.mark.parametrize("weights", ["equal", "whole"])
def test_equal_their_references(weights: str):
    w = np.ones(N) if weights == "equal" else RNG.integers(0, 4, N).astype("float64")
    for (metric, y, p, reference), value in zip(TABLE, compiled(jnp.asarray(w, jnp.float32)), strict=True):
        exact = jax.tree.map(lambda a: np.asarray(a, "float64"), (y, p))
        np.testing.assert_allclose(value, reference(*exact, w), rtol=2e-5, atol=2e-6, err_msg=repr(metric))


def test_of_nothing_they_are_a_number():
    for (metric, _, _, _), value in zip(TABLE, compiled(jnp.zeros(N)), strict=True):
        assert np.all(np.asarray(value) == 0), repr(metric)
