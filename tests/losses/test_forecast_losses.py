"""Losses of forecasts and distributions against SciPy and scikit-learn, which compute in float64, by one program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats
from sklearn.metrics import mean_pinball_loss, mean_tweedie_deviance

import treegy as tg
from treegy.losses._stirling import stirling_error

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N, D = 6, 4
SHAPE = (N, D)


def positive(low: float = 0.1, high: float = 3.0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.exp(RNG.uniform(np.log(low), np.log(high), shape)).astype("float32")


NUMBERS, MEANS = (RNG.normal(size=SHAPE).astype("float32") for _ in range(2))
COUNTS = RNG.integers(0, 6, SHAPE).astype("int32")
COUNTS[0] = [0, 1, 1000, 100_000]
RATES = positive(0.1, 9)
RATES[0] = [0.5, 1.5, 900, 1e5]
AMOUNTS = np.where(RNG.random(SHAPE) < 0.4, 0, positive(0.1, 50)).astype("float32")
# Both sides of where the series begins.
NEAR = (RATES * np.array([1.01, 0.97, 1.12, 1.09])).astype("float32")
MEMBERS = RNG.normal(size=(N, D, 7)).astype("float32")
Q = [0.05, 0.5, 0.8]
QUANTILES = RNG.normal(size=(N, D, 3)).astype("float32")
# Alphas from that of Poisson's distribution to one that is almost always 0.
DISPERSIONS = positive(1e-3, 30)
DISPERSIONS[1] = [0, 1e-6, 1e-5, 1e4]
DEGREES = positive(0.5, 40)
DEGREES[1] = [1e-2, 1e4, 1e6, 1e9]
ERRORS = NUMBERS.copy()
ERRORS[2] = [0, 1e5, -1e10, 30]


def crps(cdf: Any, y: float, ends: tuple[float, float]) -> float:
    """By its definition."""
    below = integrate.quad(lambda t: cdf(t) ** 2, ends[0], y, limit=200)[0]
    return below + integrate.quad(lambda t: (1 - cdf(t)) ** 2, y, ends[1], limit=200)[0]


def gaussian_crps(y: Any, p: Any) -> Any:
    values = np.vectorize(lambda y, m, s: crps(stats.norm(m, s).cdf, y, (m - 12 * s, m + 12 * s)))
    return values(y, p[0], np.sqrt(p[1]))


def ensemble_crps(y: Any, x: Any, fair: bool = False) -> Any:
    """By its definition: the integral of the squared difference of the distribution functions, piece by piece."""
    found = np.zeros(y.shape)
    for at in np.ndindex(*y.shape):
        knots = np.sort([*x[at], y[at]])
        middles = (knots[1:] + knots[:-1]) / 2
        share = (x[at] <= middles[:, None]).mean(1)
        found[at] = (np.diff(knots) * (share - (middles >= y[at])) ** 2).sum()
        if fair:
            apart, m = np.abs(x[at][:, None] - x[at]).sum(), len(x[at])
            found[at] += apart / (2 * m**2) - apart / (2 * m * (m - 1))
    return found


def negative_binomial(y: Any, p: Any) -> Any:
    mean, alpha = p[0], np.clip(p[1], 1e-12, None)
    return np.where(
        p[1] < 1e-9, -stats.poisson.logpmf(y, mean), -stats.nbinom.logpmf(y, 1 / alpha, 1 / (1 + alpha * mean))
    )


def zero_inflated(y: Any, p: Any) -> Any:
    zero = special.expit(p[2])
    return -np.log(zero * (y == 0) + (1 - zero) * np.exp(-negative_binomial(y, p[:2])))


def mixture(y: Any, p: Any) -> Any:
    weights = special.softmax(p[0], -1)
    return -np.log((weights * stats.norm.pdf(y[..., None], p[1], np.sqrt(p[2]))).sum(-1))


def evidential(y: Any, p: Any) -> Any:
    """The formula of the paper, of gamma functions."""
    gamma, nu, alpha, beta = p
    omega = 2 * beta * (1 + nu)
    likelihood = np.log(np.pi / nu) / 2 - alpha * np.log(omega)
    likelihood += (alpha + 0.5) * np.log((y - gamma) ** 2 * nu + omega)
    return (
        likelihood + special.gammaln(alpha) - special.gammaln(alpha + 0.5) + 0.01 * np.abs(y - gamma) * (2 * nu + alpha)
    )


def tweedie(power: Any) -> Any:
    return np.vectorize(lambda y, p: mean_tweedie_deviance([y], [p], power=power))


def pinball(y: Any, p: Any) -> Any:
    each = [np.vectorize(lambda a, b, q=q: mean_pinball_loss([a], [b], alpha=q))(y, p[..., i]) for i, q in enumerate(Q)]
    return 2 * np.mean(each, axis=0)


SCALES, VARIANCES = positive(), positive(1e-3, 9)
# The loss, labels and predictions, and the reference: a value for each element.
TABLE: list[tuple[tg.Loss, Any, Any, Any]] = [
    *((tg.losses.TweedieDeviance(power), AMOUNTS, RATES, tweedie(power)) for power in (-1, 0, 1, 1.3, 1.9)),
    *((tg.losses.TweedieDeviance(power), NEAR, RATES, tweedie(power)) for power in (-1, 1, 1.5, 2, 2.5, 3)),
    *((tg.losses.TweedieDeviance(power), RATES, positive(0.1, 9), tweedie(power)) for power in (2, 2.5, 3)),
    (tg.losses.GaussianCRPS(), NUMBERS, (MEANS, VARIANCES), gaussian_crps),
    (tg.losses.EnsembleCRPS(), NUMBERS, MEMBERS, ensemble_crps),
    (tg.losses.EnsembleCRPS(fair=True), NUMBERS, MEMBERS, lambda y, x: ensemble_crps(y, x, fair=True)),
    (tg.losses.EnsembleCRPS(), NUMBERS, MEMBERS[..., :1], lambda y, x: np.abs(y - x[..., 0])),
    (tg.losses.QuantileCRPS(q=Q), NUMBERS, QUANTILES, pinball),
    (tg.losses.NegativeBinomialNLL(), COUNTS, (RATES, DISPERSIONS), negative_binomial),
    (tg.losses.ZeroInflatedNLL(), COUNTS, (RATES, DISPERSIONS, 3 * NUMBERS), zero_inflated),
    (
        tg.losses.BetaNLL(beta=0.3),
        NUMBERS,
        (MEANS, VARIANCES),
        lambda y, p: p[1] ** 0.3 * (np.log(p[1]) + (y - p[0]) ** 2 / p[1]) / 2,
    ),
    (tg.losses.StudentNLL(), ERRORS, (0 * MEANS, SCALES, DEGREES), lambda y, p: -stats.t.logpdf(y, p[2], p[0], p[1])),
    (
        tg.losses.MixtureDensityNLL(),
        NUMBERS,
        (MEMBERS, MEMBERS[::-1], positive(0.1, 3, (N, D, 7))),
        mixture,
    ),
    (tg.losses.EvidentialRegression(), NUMBERS, (MEANS, positive(), positive(1, 9), positive()), evidential),
]


@jax.jit
def values_of(data: Any) -> Any:
    """The value of each element, so that one that is wrong isn't hidden by others."""
    single = [jax.tree.map(lambda a: a[..., None] if a.shape == SHAPE else a[..., None, :], each) for each in data]
    return [
        jnp.stack([loss.call(y[:, i], jax.tree.map(lambda a, i=i: a[:, i], p))[:, None] for i in range(D)], axis=1)
        for (loss, _, _, _), (y, p) in zip(TABLE, single, strict=True)
    ]


def test_equal_their_references():
    data = [(jnp.asarray(y), jax.tree.map(jnp.asarray, p)) for _, y, p, _ in TABLE]
    for (loss, y, p, reference), found in zip(TABLE, values_of(data), strict=True):
        exact = jax.tree.map(lambda a: np.asarray(a, "float64"), p)
        with np.errstate(all="ignore"):
            wanted = reference(np.asarray(y, "float64"), exact)
        np.testing.assert_allclose(np.ravel(found), np.ravel(wanted), rtol=2e-5, atol=2e-5, err_msg=repr(loss))


def test_a_deviance_is_exact_near_its_least():
    """Where the formula would be the difference of equal numbers."""
    y, p = np.array([1.001, 2.00001, 1e5 + 1], "float32"), np.array([1, 2, 1e5], "float32")
    for power in (1, 1.5, 2, 3):
        got = tg.losses.tweedie_deviance(jnp.asarray(y), jnp.asarray(p), power=power)
        e, mean = y.astype("float64") - p, p.astype("float64")
        series = sum(c * e**k / mean ** (k - 2) for k, c in ((2, 1.0), (3, -power / 3), (4, power * (power + 1) / 12)))
        np.testing.assert_allclose(got, series / mean**power, rtol=1e-6)


def test_stirlings_error():
    x = np.array([1e-6, 0.1, 1, 3.99, 4, 17, 1e4, 1e8], "float32")
    exact = x.astype("float64")
    wanted = special.gammaln(exact) - (exact - 0.5) * np.log(exact) + exact - np.log(2 * np.pi) / 2
    # Beyond 1e4 even float64 cancels.
    wanted[-2:] = 1 / (12 * exact[-2:])
    np.testing.assert_allclose(stirling_error(jnp.asarray(x)), wanted, atol=5e-7)


def test_gradients_of_the_beta_likelihood_leave_its_factor_alone():
    y, mean, variance = jnp.array([1.0]), jnp.array([3.0]), jnp.array([4.0])
    of_mean, of_variance = jax.grad(lambda p: tg.losses.BetaNLL(beta=1.0)(y, p))((mean, variance))
    # That of half the squared error, and 4 times (1 / v - e^2 / v^2) / 2.
    assert of_mean == 2 and of_variance == 0
    assert tg.losses.BetaNLL(beta=0.0)(y, (mean, variance)) == tg.losses.GaussianNLL()(y, (mean, variance))


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_formula():
    second = jax.hessian(lambda p: tg.losses.GaussianCRPS()(jnp.zeros(1), (p[:1], p[1:])))(jnp.array([0.5, 4.0]))
    np.testing.assert_allclose(second[0, 0], 2 * stats.norm.pdf(0.25) / 2, rtol=1e-5)


def test_what_is_not_positive_shows():
    one, minus = jnp.ones(1), -jnp.ones(1)
    for loss, p in (
        (tg.losses.TweedieDeviance(1.5), minus),
        (tg.losses.GaussianCRPS(), (one, minus)),
        (tg.losses.NegativeBinomialNLL(), (minus, one)),
        (tg.losses.NegativeBinomialNLL(), (one, minus)),
        (tg.losses.ZeroInflatedNLL(), (minus, one, one)),
        (tg.losses.BetaNLL(), (one, minus)),
        (tg.losses.StudentNLL(), (one, minus, one)),
        (tg.losses.StudentNLL(), (one, one, minus)),
        (tg.losses.EvidentialRegression(), (one, minus, one, one)),
        (tg.losses.MixtureDensityNLL(), (one[None], one[None], minus[None])),
    ):
        assert np.isnan(loss(one, p)), repr(loss)
    assert np.isnan(tg.losses.TweedieDeviance(1)(minus, one)) and np.isfinite(tg.losses.TweedieDeviance(-1)(minus, one))
    assert np.isnan(tg.losses.NegativeBinomialNLL()(minus, (one, one)))
    assert tg.losses.TweedieDeviance(2)(jnp.zeros(1), one) == np.inf


def test_mistakes():
    y, two = jnp.zeros((3, 2)), jnp.zeros((3, 2, 2))
    with pytest.raises(tg.ContractError, match=r"members of an ensemble for each `y_true` f32\[3,2\] are expected"):
        tg.losses.EnsembleCRPS()(y, y)
    with pytest.raises(tg.ContractError, match="`fair` scores are of at least 2 members, and `y_pred` has 1"):
        tg.losses.EnsembleCRPS(fair=True)(y, y[..., None])
    with pytest.raises(tg.ContractError, match=r"must have one more axis at the end than `y_true` f32\[3,2\]"):
        tg.losses.MixtureDensityNLL()(y, (y, y, y))
    with pytest.raises(tg.ContractError, match=r"a tuple of 4 arrays is expected: \(gamma, nu, alpha, beta\)"):
        tg.losses.EvidentialRegression()(y, (y, y, y))
    with pytest.raises(ValueError, match="`power` is a number that isn't between 0 and 1, and got 0.5"):
        tg.losses.TweedieDeviance(0.5)
    with pytest.raises(TypeError, match="`q` is a list of numbers between 0 and 1, and got 0.5"):
        tg.losses.QuantileCRPS(q=0.5)
    with pytest.raises(ValueError, match="`q` is empty"):
        tg.losses.QuantileCRPS(q=[])
    with pytest.raises(tg.ContractError, match="for 3 quantiles"):
        tg.losses.QuantileCRPS(q=Q)(y, two)
    for loss in (tg.losses.GaussianCRPS, tg.losses.StudentNLL, tg.losses.MixtureDensityNLL):
        with pytest.raises(ValueError, match="`eps` is a positive number, and got 0"):
            loss(eps=0.0)
    with pytest.raises(ValueError, match="`beta` is a number from 0 to 1, and got 2"):
        tg.losses.BetaNLL(beta=2.0)
    with pytest.raises(ValueError, match="`coefficient` is a number from 0 on, and got -1"):
        tg.losses.EvidentialRegression(coefficient=-1.0)
