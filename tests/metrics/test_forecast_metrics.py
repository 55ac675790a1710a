"""Metrics of forecasts against scikit-learn, SciPy and NumPy float64, over several batches, by one program."""

import functools
import inspect
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
    return mean([spatial.distance.jensenshannon(a, b) ** 2 for a, b in zip(y, p, strict=True)], w)


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
OTHERS = FEW[::-1] + single(NUMBERS > 5)
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
    (M.KendallCorrelation(capacity=150), NUMBERS, ROUGHLY, repeated(lambda y, p: stats.kendalltau(y, p)[0])),
    (M.KendallCorrelation(capacity=150, variant="a"), FEW, OTHERS, repeated(kendall_a)),
    (M.KendallCorrelation(capacity=150), FEW, OTHERS, repeated(lambda y, p: stats.kendalltau(y, p)[0])),
    (
        M.KendallCorrelation(capacity=150, variant="c"),
        FEW,
        OTHERS,
        repeated(lambda y, p: stats.kendalltau(y, p, variant="c")[0]),
    ),
    (M.SpearmanCorrelation(capacity=150), FEW, FEW[::-1], repeated(lambda y, p: stats.spearmanr(y, p)[0])),
    (
        M.D2AbsoluteError(capacity=150),
        FEW,
        ROUGHLY - 3,
        lambda y, p, w: sklearn.d2_absolute_error_score(y, p, sample_weight=w),
    ),
    (M.TweedieDeviance(1.5), MANY_ZEROS, RATES, tweedie(sklearn.mean_tweedie_deviance, 1.5)),
    (M.GammaDeviance(), AMOUNTS, RATES, tweedie(sklearn.mean_tweedie_deviance, 2)),
    *((M.D2Tweedie(k), MANY_ZEROS, RATES, tweedie(sklearn.d2_tweedie_score, k)) for k in (0, 1.5)),
    (M.D2Tweedie(2), AMOUNTS, RATES, tweedie(sklearn.d2_tweedie_score, 2)),
    (
        M.IntervalCoverage(),
        NUMBERS,
        INTERVALS,
        lambda y, p, w: mean((p[0] <= y) & (y <= p[1]), w),
    ),
    (M.IntervalWidth(), NUMBERS, INTERVALS, lambda y, p, w: mean(p[1] - p[0], w)),
    (M.WinklerScore(alpha=0.2), NUMBERS, INTERVALS, winkler),
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


DATA = [jax.tree.map(jnp.asarray, (y, p)) for _, y, p, _ in TABLE]


@jax.jit
def values_of(weight: Any) -> list[Any]:
    """The values of two batches, merged; of means, of which merging isn't their own, those of one."""
    found: list[Any] = []
    for (metric, _, _, _), (y, p) in zip(TABLE, DATA, strict=True):
        values = {"x": jnp.asarray(HISTORY), "y_true": y, "y_pred": p, "sample_weight": weight}
        names = set(inspect.signature(metric.call).parameters) | {"sample_weight"}
        own = "sample_weight" in inspect.signature(metric.call).parameters
        batches = [
            jax.tree.map(lambda a, at=at: a[at], {k: v for k, v in values.items() if k in names})
            for at in ([slice(0, 20), slice(20, N)] if own else [slice(0, N)])
        ]
        found.append(functools.reduce(lambda a, b: a.merge(b), [metric(**each) for each in batches]).compute())
    return found


@pytest.mark.parametrize("weights", ["equal", "whole"])
def test_equal_their_references(weights: str):
    w = np.ones(N) if weights == "equal" else RNG.integers(0, 4, N).astype("float64")
    for (metric, y, p, reference), value in zip(TABLE, values_of(jnp.asarray(w, jnp.float32)), strict=True):
        exact = jax.tree.map(lambda a: np.asarray(a, "float64"), (y, p))
        np.testing.assert_allclose(value, reference(*exact, w), rtol=2e-5, atol=2e-6, err_msg=repr(metric))


def test_of_nothing_they_are_a_number():
    for (metric, _, _, _), value in zip(TABLE, values_of(jnp.zeros(N)), strict=True):
        assert np.all(np.asarray(value) == 0), repr(metric)


def test_weights_of_elements():
    weight = jnp.asarray(RNG.integers(0, 3, SHAPE), jnp.float32)
    y, p, w = (np.asarray(a, "float64") for a in (NUMBERS, ROUGHLY, weight))
    error = np.abs(y - p)
    rows = [[np.repeat(a[:, i], w[:, i].astype(int)) for a in (y, p)] for i in range(D)]
    cases: list[tuple[tg.Metric, Any]] = [
        (M.SymmetricMeanAbsolutePercentageError(), np.average(200 * error / (abs(y) + abs(p)), weights=w)),
        (M.WeightedMeanAbsolutePercentageError(), 100 * (w * error).sum() / (w * abs(y)).sum()),
        (M.RelativeSquaredError(), np.mean([squared(a, b, None) for a, b in rows])),
        (M.D2Tweedie(1), sklearn.d2_tweedie_score(y.ravel(), p.ravel(), sample_weight=w.ravel(), power=1)),
        (M.KendallCorrelation(capacity=60), [stats.kendalltau(*row)[0] for row in rows]),
    ]
    found = jax.jit(lambda weight: [metric(NUMBERS, ROUGHLY, sample_weight=weight).compute() for metric, _ in cases])(
        weight
    )
    for (metric, wanted), value in zip(cases, found, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-5, err_msg=repr(metric))


def test_labels_that_do_not_vary():
    same, off, zero = np.full(4, 2, "float32"), np.array([2, 2, 3, 2], "float32"), np.zeros(4, "float32")
    # The metric, and its values where the labels are predicted, and where one isn't.
    cases = [
        (M.RelativeSquaredError(), 0, 1),
        (M.D2AbsoluteError(capacity=4), 1, 0),
        (M.D2Tweedie(1), 1, 0),
        (M.KendallCorrelation(capacity=4), 0, 0),
        (M.KendallCorrelation(capacity=4, variant="c"), 0, 0),
        (M.NormalizedRootMeanSquaredError(normalization="range"), 0, np.inf),
        (M.NormalizedRootMeanSquaredError(normalization="std"), 0, np.inf),
    ]
    found = jax.jit(lambda a, b: [[m(a, p).compute() for p in (a, b)] for m, _, _ in cases])(same, off)
    assert found == [[right, wrong] for _, right, wrong in cases]
    of_zeros = [
        # A series that doesn't vary doesn't count.
        M.MeanAbsoluteScaledError()(x=np.ones((2, 3)), y_true=np.zeros((2, 1)), y_pred=np.ones((2, 1))),
        M.SymmetricMeanAbsolutePercentageError()(zero, zero),
        M.D2Tweedie(1.5)(zero, same),
    ]
    assert [float(each) for each in of_zeros] == [0, 0, 0]


def test_what_is_nan_or_too_much_shows():
    y, nan = np.arange(4, dtype="float32"), np.array([0, 1, np.nan, 3], "float32")
    for metric in (M.KendallCorrelation(capacity=4), M.D2AbsoluteError(capacity=4)):
        assert np.isnan(float(metric(y, nan)))
        assert np.isfinite(float(metric(y, nan, sample_weight=np.array([1.0, 1, 0, 1]))))
        assert np.isnan(float(metric(y, y).merge(metric(y, y))))
    assert np.isnan(float(M.IntervalCoverage()(y, (nan, y + 1))))
    assert np.isnan(float(M.QuantileCalibrationError([0.5])(y, nan[:, None])))
    assert np.isnan(float(M.QuantileCalibrationError([0.5])(y, (y, -y))))
    assert np.isnan(float(M.JensenShannonDivergence()(np.ones((1, 4)), nan[None])))


def carried(metrics: Any) -> int:
    """How many numbers metrics carry from batch to batch."""
    model = tg.Model(lambda x: x, metrics=metrics, trainable=False).init(jnp.ones((4, D)), jnp.ones((4, D)))
    return sum(a.size for a in jax.tree.leaves(model.states.metrics_states))


def test_what_is_the_same_is_carried_once():
    scores = [M.R2Score(), M.RelativeSquaredError(), M.NormalizedRootMeanSquaredError()]
    kept = [M.SpearmanCorrelation(capacity=9), M.KendallCorrelation(capacity=9), M.D2AbsoluteError(capacity=9)]
    assert carried(scores) == carried(scores[0]) and carried(kept) == carried(kept[0])
    assert carried([*kept, M.KendallCorrelation(capacity=8, name="other")]) > carried(kept)


def test_gradients_where_members_are_equal():
    score = jax.grad(lambda x: M.EnergyScore()(jnp.zeros((2, 2)), x).compute())
    gradient = jax.jit(score)(jnp.zeros((2, 3, 2)))
    assert np.all(np.isfinite(gradient))


def test_mistakes():
    y = jnp.ones((4, 3))
    for metric, given, words in (
        (
            M.MeanAbsoluteScaledError(),
            {"x": y, "y_true": y[:, 0], "y_pred": y[:, 0]},
            "a history and a forecast of each",
        ),
        (
            M.MeanAbsoluteScaledError(seasonality=3),
            {"x": y, "y_true": y, "y_pred": y},
            "history of 3 steps.* at least 4",
        ),
        (
            M.IntervalCoverage(),
            {"y_true": y, "y_pred": y},
            r"a tuple of 2 arrays is expected: \(lower end, upper end\)",
        ),
        (M.QuantileCalibrationError([0.1, 0.9]), {"y_true": y, "y_pred": y}, r"for 2 quantiles .* \(4, 3, 2\)"),
        (
            M.Wasserstein(positions=[0, 1]),
            {"y_true": y, "y_pred": y},
            "There are 2 `positions`, and `y_pred` has 3 bins",
        ),
        (M.EnergyScore(), {"y_true": y, "y_pred": y}, "must be vectors and ensembles of them"),
        (M.KendallCorrelation(capacity=3), {"y_true": y, "y_pred": y}, "4 examples are more than there is room for"),
    ):
        with pytest.raises(tg.ContractError, match=words):
            metric(**given)
    for made, error, words in (
        (lambda: M.KendallCorrelation(variant="d"), ValueError, "`variant` is one of 'a', 'b' and 'c'"),  # pyright: ignore[reportArgumentType]
        (lambda: M.MinkowskiDistance(0.5), ValueError, "`p` is a number from 1 on, and got 0.5"),
        (lambda: M.MinkowskiDistance(True), TypeError, "`p` is a number from 1 on, and got True"),
        (lambda: M.Wasserstein(positions=[0, 2, 1]), ValueError, "`positions` must increase"),
        (lambda: M.Wasserstein(positions="abc"), TypeError, "`positions` is a list of numbers, and got 'abc'"),
        (lambda: M.WinklerScore(alpha=90), ValueError, "`alpha` is a number between 0 and 1, and got 90"),
        (lambda: M.D2Tweedie(0.5), ValueError, "`power` is a number that isn't between 0 and 1, and got 0.5"),
        (lambda: M.GaussianLogScore(eps=0.0), ValueError, "`eps` is a positive number"),
        (lambda: M.QuantileCRPS(q=[]), ValueError, "`q` is empty"),
    ):
        with pytest.raises(error, match=words):
            made()
