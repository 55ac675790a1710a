"""Losses against SciPy, scikit-learn, Optax and formulas in NumPy float64; at their worst; and wrong use."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = pytest.mark.once


def single(*arrays: Any) -> Any:
    return tuple(jnp.asarray(a, jnp.float32) for a in arrays)


def close(got: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


# Regression


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantile_equals_scikit_learn(q: float):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y_true, y_pred, weight = rng.normal(size=9), rng.normal(size=9), rng.uniform(size=9)
    loss = tg.losses.Quantile(q=q, reduction="weighted_mean")
    close(loss(*single(y_true, y_pred)), metrics.mean_pinball_loss(y_true, y_pred, alpha=q))
    expected = metrics.mean_pinball_loss(y_true, y_pred, alpha=q, sample_weight=weight)
    close(loss(*single(y_true, y_pred), sample_weight=weight), expected)


def test_several_quantiles_are_averaged():
    rng = np.random.default_rng(0)
    y_true, y_pred, q = rng.normal(size=(4, 3)), rng.normal(size=(4, 3, 2)), np.array([0.2, 0.7])
    e = y_true[..., None] - y_pred
    expected = np.where(e >= 0, q * e, (q - 1) * e).mean((-1, -2))
    close(tg.losses.Quantile(q=[0.2, 0.7], reduction="none")(*single(y_true, y_pred)), expected)
    close(tg.losses.quantile(*single(y_true, y_pred), q=jnp.asarray(q, jnp.float32)), expected)
    close(tg.losses.quantile(*single(y_true[:, 0], y_pred[:, 0]), q=[0.2, 0.7]).shape, (4,))
    half = tg.losses.quantile(*single(y_true, y_pred[..., 0]), q=0.5)
    close(half, tg.losses.mean_absolute_error(*single(y_true, y_pred[..., 0])) / 2)


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_equals_scipy(full: bool):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    y_true, mean, variance = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), rng.uniform(0.1, 2, (5, 2))
    expected = -stats.norm.logpdf(y_true, mean, np.sqrt(variance)).mean(-1) - (not full) * np.log(2 * np.pi) / 2
    got = tg.losses.GaussianNLL(full=full, reduction="none")(y_true=y_true, y_pred=(mean, variance))
    close(got, expected)


def test_variances_are_bounded_from_below_and_negative_ones_show():
    y_true, mean = single([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    variance = jnp.array([0.0, 1e-3, -1e-3])
    got = tg.losses.gaussian_nll(y_true, (mean, variance), eps=1e-2)
    close(got, [*([(np.log(1e-2) + 1e2) / 2] * 2), np.nan])


def test_poisson_is_a_likelihood():
    stats = pytest.importorskip("scipy.stats")
    special = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    counts, rates = rng.integers(0, 9, (5, 3)), rng.uniform(0.5, 6, (5, 3))
    expected = -(stats.poisson.logpmf(counts, rates) + special.gammaln(counts + 1)).mean(-1)
    close(tg.losses.poisson(jnp.asarray(counts), *single(rates)), expected)
    assert jnp.isnan(tg.losses.poisson(jnp.ones(1), jnp.array([-1.0]))[0])


def test_kl_divergence_equals_scipy():
    special = pytest.importorskip("scipy.special")
    p, q = np.random.default_rng(0).dirichlet(np.ones(4), (2, 5))
    close(tg.losses.kl_divergence(*single(p, q)), special.rel_entr(p, q).sum(-1))
    assert tg.losses.kl_divergence(*single(p, p))[0] == 0


def test_one_dimensional_targets_stay_per_example():
    y_true, y_pred = single([1.0, 2.0, 4.0], [2.0, 2.0, 1.0])
    close(tg.losses.mean_absolute_percentage_error(y_true, y_pred), [100, 0, 75])
    close(tg.losses.mean_squared_logarithmic_error(y_true, y_pred), np.log([2 / 3, 1, 5 / 2]) ** 2)
    close(tg.losses.log_cosh(y_true, y_pred), np.log(np.cosh([1.0, 0, -3])))
    close(tg.losses.poisson(y_true, y_pred), [2 - np.log(2), 2 - 2 * np.log(2), 1])
    close(tg.losses.hinge(jnp.array([1, 1, 0]), y_pred), [0, 0, 2])
    close(tg.losses.squared_hinge(jnp.array([1, 1, 0]), y_pred), [0, 0, 4])


# Classification


def focal(y: Any, p: Any, gamma: float, alpha: float | None = None) -> Any:
    right = y * p + (1 - y) * (1 - p)
    values = (1 - right) ** gamma * -(y * np.log(p) + (1 - y) * np.log1p(-p))
    return values if alpha is None else values * (y * alpha + (1 - y) * (1 - alpha))


@pytest.mark.slow
@pytest.mark.parametrize("gamma, alpha", [(2.0, None), (0.5, 0.25), (0.0, 0.9)])
def test_sigmoid_focal(gamma: float, alpha: float | None):
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 2, (5, 3)), 4 * rng.normal(size=(5, 3))
    expected = focal(y, 1 / (1 + np.exp(-z)), gamma, alpha).mean(-1)
    loss = tg.losses.SigmoidFocal(gamma=gamma, alpha=alpha, reduction="none")
    close(loss(y, *single(z)), expected)
    balanced: dict[str, Any] = {"apply_class_balancing": alpha is not None, "alpha": 0.25 if alpha is None else alpha}
    logits = tg.losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=True, reduction="none", **balanced)
    close(logits(y, *single(z)), expected)
    probabilities = tg.losses.BinaryFocalCrossentropy(gamma=gamma, reduction="none", **balanced)
    close(probabilities(y, *single(1 / (1 + np.exp(-z)))), expected, rtol=1e-4)


@pytest.mark.slow
def test_focal_losses_of_extreme_logits():
    z = jnp.array([-100.0, 100.0])
    close(tg.losses.sigmoid_focal(jnp.array([1, 0]), z), [100, 100])
    close(tg.losses.sigmoid_focal(jnp.array([0, 1]), z), [0, 0])
    y_true, logits = jnp.array([[1.0, 0.0, 0.0]]), jnp.array([[1.0, -jnp.inf, 2.0]])
    for loss, expected in (
        (
            tg.losses.CategoricalFocalCrossentropy(alpha=1.0, from_logits=True),
            (np.e / (1 + np.e)) ** 2 * np.log(1 + np.e),
        ),
        (tg.losses.PolyLoss(), np.log(1 + np.e) + 2 * np.e / (1 + np.e)),
    ):
        value, gradient = jax.jit(jax.value_and_grad(lambda z, loss=loss: loss(y_true, z)))(logits)
        close(value, expected)
        assert jnp.all(jnp.isfinite(gradient))


def test_without_focus_they_are_crossentropies():
    rng = np.random.default_rng(0)
    y_true, y_pred = single(np.eye(4)[rng.integers(0, 4, 5)], rng.dirichlet(np.ones(4), 5))
    focal = tg.losses.categorical_focal_crossentropy(y_true, y_pred, alpha=1.0, gamma=0.0)
    close(focal, tg.losses.categorical_crossentropy(y_true, y_pred))
    close(tg.losses.poly_loss(y_true, y_pred), optax.losses.poly_loss_cross_entropy(y_pred, y_true))
    poly = tg.losses.poly_loss(y_true, y_pred, epsilon=0.0)
    close(poly, tg.losses.categorical_crossentropy(y_true, y_pred, from_logits=True))


@pytest.mark.parametrize("axis", [-1, 1])
def test_classes_along_another_axis(axis: int):
    rng = np.random.default_rng(0)
    y, z = np.eye(3)[rng.integers(0, 3, (2, 4))], rng.normal(size=(2, 4, 3))
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    there = (lambda a: np.moveaxis(a, -1, 1)) if axis == 1 else (lambda a: a)
    got = tg.losses.PolyLoss(epsilon=0.5, axis=axis, reduction="none")(*single(there(y), there(z)))
    close(got, (y * (-np.log(p) + 0.5 * (1 - p))).sum(-1))
    alpha = [0.2, 0.3, 0.5]
    loss = tg.losses.CategoricalFocalCrossentropy(alpha=alpha, axis=axis, reduction="none")
    close(loss(*single(there(y), there(p))), (alpha * (1 - p) ** 2 * y * -np.log(p)).sum(-1))


def test_generalized_crossentropy_lies_between_the_crossentropy_and_the_absolute_error():
    labels, p = jnp.array([0, 1, 2, 1]), jnp.array([[0.7, 0.2, 0.1]] * 4)
    at = np.array([0.7, 0.2, 0.1, 0.2])
    close(tg.losses.categorical_generalized_cross_entropy(labels, p, q=1e-3), -np.log(at), rtol=2e-3)
    close(tg.losses.categorical_generalized_cross_entropy(labels, p, q=0.999), 1 - at, rtol=2e-3)
    got = tg.losses.CategoricalGeneralizedCrossEntropy(reduction="none")(jnp.array([3, -1, 0, 0]), p)
    close(got, [np.nan, np.nan, *[2 * (1 - 0.7**0.5)] * 2])


def test_generalized_crossentropy_at_zero():
    def value(p: Any) -> Any:
        return tg.losses.categorical_generalized_cross_entropy(jnp.array([0]), p)[0]

    assert value(jnp.array([[0.0, 1.0]])) == 2
    assert jnp.all(jnp.isfinite(jax.grad(value)(jnp.array([[0.0, 1.0]]))))


# Regions


def test_dice_of_binary_predictions_is_one_minus_f1():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, (2, 5, 4, 3))
    expected = [1 - metrics.f1_score(a.ravel(), b.ravel()) for a, b in zip(y_true, y_pred, strict=True)]
    close(tg.losses.Dice(reduction="none")(y_true, *single(y_pred)), expected)
    close(tg.losses.Tversky(reduction="none")(y_true, *single(y_pred)), expected)


def test_tversky_weighs_what_is_too_much_by_alpha_and_what_is_missing_by_beta():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (4, 5)), rng.uniform(size=(4, 5))
    both, too_much, missing = (y * p).sum(-1), ((1 - y) * p).sum(-1), (y * (1 - p)).sum(-1)
    expected = 1 - both / (both + 0.3 * too_much + 0.8 * missing)
    close(tg.losses.Tversky(alpha=0.3, beta=0.8, reduction="none")(y, *single(p)), expected)


def test_empty_regions():
    nothing = jnp.zeros((2, 3))
    for loss in (tg.losses.dice, tg.losses.tversky):
        close(loss(nothing, nothing), [1, 1])


# Sequences


def ctc_by_enumeration(labels: list[int], logits: Any) -> float:
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        merged = [c for i, c in enumerate(path) if (i == 0 or c != path[i - 1]) and c != 0]
        if merged == labels:
            total += np.exp(sum(log_p[t, c] for t, c in enumerate(path)))
    return -np.log(total)


def test_ctc_is_the_sum_over_all_alignments():
    logits = np.random.default_rng(0).normal(size=(4, 4, 3))
    labels = [[1, 2], [2, 2], [1], []]
    padded = jnp.array([[1, 2], [2, 2], [1, 0], [0, 0]])
    expected = [ctc_by_enumeration(*pair) for pair in zip(labels, logits, strict=True)]
    close(tg.losses.CTC(reduction="none")(padded, *single(logits)), expected)
    lengths = [2, 3, 1, 4]
    expected = [ctc_by_enumeration(a, z[:n]) for a, z, n in zip(labels, logits, lengths, strict=True)]
    close(tg.losses.ctc(padded, *single(logits), lengths=jnp.array(lengths)), expected)


def test_ctc_hides_no_wrong_labels():
    logits = jnp.zeros((5, 3, 3))
    labels = jnp.array([[1, 3], [-1, 0], [0, 1], [1, 1], [1, 2]])
    got = jax.jit(tg.losses.ctc)(labels, logits, lengths=jnp.array([3, 3, 3, 2, 4]))
    assert np.isnan(np.asarray(got)).tolist() == [True, True, True, False, True]
    assert got[3] > 9e4  # 1, blank, 1 needs three steps


# Embeddings


def test_ntxent_of_pairs_equals_optax(standard_promotion: Any):
    embeddings = jax.random.normal(jax.random.key(0), (8, 3))
    labels = jnp.array([0, 1, 2, 3, 0, 1, 2, 3])
    for temperature in (0.07, 1.0):
        with standard_promotion():
            expected = jax.jit(optax.losses.ntxent)(embeddings, labels, temperature)
        close(jax.jit(tg.losses.NTXent(temperature=temperature))(labels, embeddings), expected)


def test_ntxent_by_hand():
    e = np.random.default_rng(0).normal(size=(6, 3))
    labels = np.array([0, 0, 0, 1, 1, 2])
    u = e / np.linalg.norm(e, axis=1, keepdims=True)
    s = np.exp(u @ u.T / 0.5)
    expected = []
    for i in range(5):  # the last has no other of its label
        others = s[i, labels != labels[i]].sum()
        same = [j for j in range(6) if labels[j] == labels[i] and j != i]
        expected.append(np.mean([-np.log(s[i, j] / (s[i, j] + others)) for j in same]))
    got = tg.losses.ntxent(jnp.asarray(labels), *single(e), temperature=0.5)
    close(got, [*expected, 0])  # a value per example, as of any other loss; the class leaves the last out of the mean
    close(tg.losses.NTXent(temperature=0.5)(labels, *single(e)), np.mean(expected))


@pytest.mark.parametrize("cls", [tg.losses.NTXent, tg.losses.Circle])
def test_embeddings_without_pairs_count_nowhere_and_have_gradients(cls: Any):
    embeddings = jnp.eye(3)
    of = jax.jit(jax.value_and_grad(lambda e, y: cls()(y, e)))
    for labels in ([0, 1, 2], [0, 0, 0], [0, 0, 1]):
        value, gradient = of(embeddings, jnp.array(labels))
        assert jnp.isfinite(value) and jnp.all(jnp.isfinite(gradient))
    assert cls()(jnp.array([0, 1, 2]), embeddings) == 0


@pytest.mark.slow
def test_embeddings_in_a_model_with_weights():
    x, labels = np.random.default_rng(0).normal(size=(6, 3)).astype("float32"), np.array([0, 1, 0, 1, 1, 0])
    weight = np.array([1, 2, 0, 1, 1, 1], "float32")
    gone = jnp.asarray(x).at[2].set(jnp.nan)
    model = tg.Model(eqx.nn.Identity(), loss=[tg.losses.NTXent(), tg.losses.Circle(reduction="weighted_mean")])
    _, logs = model.test_on_batch(gone, labels, sample_weight=weight)
    kept = weight > 0
    expected = tg.losses.NTXent(reduction="sum")(labels[kept], x[kept], sample_weight=weight[kept]) / 6
    close(logs["nt_xent_loss"], expected)
    circle = tg.losses.Circle(reduction="weighted_mean")
    close(logs["circle_loss"], circle(labels[kept], x[kept], sample_weight=weight[kept]))


@pytest.mark.parametrize("degree", [1, 2, 3, 1.5])
def test_triplet_margin(degree: float, standard_promotion: Any):
    a, p, n = np.random.default_rng(0).normal(size=(3, 5, 4))
    near, far = (((np.abs(a - b) ** degree).sum(-1) + 1e-6) ** (1 / degree) for b in (p, n))
    expected = np.maximum(near - far + 0.5, 0)
    loss = tg.losses.TripletMargin(norm_degree=degree, margin=0.5, reduction="none")
    close(loss(single(a, p, n)), expected)
    if degree == 2:
        with standard_promotion():
            close(expected, optax.losses.triplet_margin_loss(*single(a, p, n), margin=0.5))


def test_triplets_that_are_the_same_have_gradients():
    same = (jnp.ones((2, 3)),) * 3
    for degree in (1, 2, 1.5):
        gradient = jax.grad(lambda t, k=degree: tg.losses.TripletMargin(norm_degree=k)(t))(same)
        assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradient)


# Where they are at their worst


def test_vectors_without_a_direction():
    y = jnp.array([[0.0, 0.0], [1e-30, 0.0], [3.0, 4.0]])
    close(tg.losses.cosine_similarity(y, y), [0, 0, -1])
    gradient = jax.grad(lambda p: tg.losses.CosineSimilarity()(y, p))(y)
    assert jnp.all(jnp.isfinite(gradient))


def test_percentages_of_nothing():
    got = tg.losses.mean_absolute_percentage_error(*single([0.0, 0.0], [0.0, 1.0]))
    close(got, [0, 1e9])


def test_large_errors_of_log_cosh():
    close(tg.losses.log_cosh(jnp.zeros(2), jnp.array([1e4, -1e4])), [1e4 - np.log(2)] * 2)


def test_float64_stays():
    rng = np.random.default_rng(0)

    def dtype(name: str, *args: Any) -> Any:
        values = jax.eval_shape(getattr(tg.losses, name), *args)
        return values.values.dtype if isinstance(values, tg.Masked) else values.dtype

    with jax.enable_x64(True):
        y, p = jnp.asarray(rng.uniform(size=(2, 4, 3)))
        labels, z = jnp.asarray(rng.integers(1, 3, (4, 2))), jnp.asarray(rng.normal(size=(4, 5, 3)))
        regression = ("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "log_cosh", "poisson")
        elementwise = ("cosine_similarity", "hinge", "squared_hinge", "categorical_hinge", "kl_divergence", "quantile")
        classification = ("binary_focal_crossentropy", "categorical_focal_crossentropy", "sigmoid_focal", "poly_loss")
        for name in (*regression, *elementwise, *classification, "dice", "tversky"):
            assert dtype(name, y, p) == jnp.float64, name
        for name in ("categorical_generalized_cross_entropy", "ntxent", "circle"):
            assert dtype(name, labels[:, 0], p) == jnp.float64, name
        assert dtype("ctc", labels, z) == jnp.float64
        assert dtype("ctc", labels, z.astype(jnp.float32)) == jnp.float32
        assert dtype("gaussian_nll", y, (p, p)) == jnp.float64
        assert dtype("triplet_margin", (y, p, p)) == jnp.float64
        got = jax.jit(tg.losses.ctc)(labels[:, :1], z[:, :3])
        close(got[0], ctc_by_enumeration([int(labels[0, 0])], np.asarray(z[0, :3])), rtol=1e-12)


@pytest.mark.slow
def test_hyperparameters_can_be_traced():
    def value(gamma: Any, alpha: Any, q: Any, temperature: Any, degree: Any) -> Any:
        y, p = jnp.array([[0.0, 1.0]]), jnp.array([[0.25, 0.5]])
        return (
            tg.losses.BinaryFocalCrossentropy(gamma=gamma, alpha=alpha, apply_class_balancing=True)(y, p)
            + tg.losses.CategoricalFocalCrossentropy(gamma=gamma, alpha=[alpha, alpha])(y, p)
            + tg.losses.Quantile(q=q)(y, p)
            + tg.losses.NTXent(temperature=temperature)(jnp.array([0, 0, 1]), jnp.eye(3))
            + tg.losses.TripletMargin(norm_degree=degree)((y, p, p))
        )

    numbers = (2.0, 0.25, 0.5, 0.1, 2.0)
    close(jax.jit(value)(*numbers), value(*numbers))
    assert all(bool(jnp.isfinite(g)) for g in jax.jit(jax.grad(value, argnums=(0, 1, 2, 3, 4)))(*numbers))


# Errors


@pytest.mark.parametrize(
    "name",
    [
        "MeanAbsolutePercentageError",
        "MeanSquaredLogarithmicError",
        "LogCosh",
        "CosineSimilarity",
        "Hinge",
        "SquaredHinge",
        "CategoricalHinge",
        "KLDivergence",
        "Poisson",
        "BinaryFocalCrossentropy",
        "CategoricalFocalCrossentropy",
        "SigmoidFocal",
        "PolyLoss",
        "Dice",
        "Tversky",
        "Quantile",
    ],
)
def test_nothing_is_broadcast(name: str):
    error = r"`y_true` f32\[4\] and `y_pred` f32\[4,1\] must have the same shape"
    with pytest.raises(tg.ContractError, match=error) as e:
        getattr(tg.losses, name)()(jnp.zeros(4), jnp.zeros((4, 1)))
    assert name in str(e.value)


@pytest.mark.parametrize(
    "name, options, error",
    [
        ("BinaryFocalCrossentropy", {"alpha": 1.5}, "`alpha` is a number from 0 to 1, and got 1.5"),
        ("BinaryFocalCrossentropy", {"gamma": -1}, "`gamma` is a number from 0 on, and got -1"),
        ("BinaryFocalCrossentropy", {"label_smoothing": 2}, "`label_smoothing` is a number from 0 to 1, and got 2"),
        ("CategoricalFocalCrossentropy", {"alpha": [1.0, -1.0]}, "`alpha` is a number from 0 on, or a list of them"),
        ("CategoricalFocalCrossentropy", {"gamma": float("nan")}, "`gamma` is a number from 0 on, and got nan"),
        ("CategoricalFocalCrossentropy", {"label_smoothing": -1}, "`label_smoothing` is a number from 0 to 1"),
        ("CategoricalGeneralizedCrossEntropy", {"q": 1}, "`q` is a number between 0 and 1, and got 1"),
        ("SigmoidFocal", {"alpha": -0.1}, "`alpha` is a number from 0 to 1, and got -0.1"),
        ("SigmoidFocal", {"gamma": -0.1}, "`gamma` is a number from 0 on, and got -0.1"),
        ("PolyLoss", {"epsilon": float("nan")}, "`epsilon` is a number, and got nan"),
        ("Tversky", {"alpha": -1}, "`alpha` is a number from 0 on, and got -1"),
        ("Tversky", {"beta": -1}, "`beta` is a number from 0 on, and got -1"),
        ("Circle", {"gamma": 0}, "`gamma` is a positive number, and got 0"),
        ("Circle", {"margin": 2}, "`margin` is a number from 0 to 1, and got 2"),
        ("NTXent", {"temperature": 0.0}, "`temperature` is a positive number, and got 0.0"),
        ("TripletMargin", {"norm_degree": 0.5}, "`norm_degree` is a number from 1 on, and got 0.5"),
        ("TripletMargin", {"eps": 0}, "`eps` is a positive number, and got 0"),
        ("TripletMargin", {"margin": float("nan")}, "`margin` is a number, and got nan"),
        ("GaussianNLL", {"eps": 0}, "`eps` is a positive number, and got 0"),
        ("Quantile", {"q": 0}, "`q` is a number between 0 and 1, or a list of them, and got 0"),
        ("Quantile", {"q": [0.5, 1.5]}, "`q` is a number between 0 and 1, or a list of them, and got 1.5"),
        ("Quantile", {"q": []}, "`q` is empty"),
    ],
)
def test_hyperparameters_out_of_range(name: str, options: dict[str, Any], error: str):
    with pytest.raises(ValueError, match=error):
        getattr(tg.losses, name)(**options)


def test_an_ignored_class_is_a_label():
    for bad in (1.5, True, "1"):
        with pytest.raises(TypeError, match="ignore_class"):
            tg.losses.SparseCategoricalCrossentropy(ignore_class=bad)  # pyright: ignore[reportArgumentType]


P = jnp.full((2, 3), 0.3)


@pytest.mark.parametrize(
    "name, options, y_true, y_pred, error",
    [
        ("CosineSimilarity", {}, jnp.ones(4), jnp.ones(4), r"f32\[4\] has no axis of components at `axis=-1`"),
        ("CosineSimilarity", {"axis": 0}, P, P, r"f32\[2,3\] has no axis of components at `axis=0`"),
        ("CategoricalHinge", {}, P[:, :1], P[:, :1], r"f32\[2,1\] has one class only"),
        ("KLDivergence", {}, jnp.ones(4), jnp.ones(4), r"f32\[4\] has no axis of classes"),
        ("PolyLoss", {"axis": 2}, P, P, r"f32\[2,3\] has no axis of classes at `axis=2`"),
        ("CategoricalFocalCrossentropy", {"alpha": [0.5, 0.5]}, P, P, r"`alpha` is f32\[2\].*each of the 3 classes"),
        ("CategoricalGeneralizedCrossEntropy", {}, jnp.zeros(2), P, r"`y_true` f32\[2\].*integer dtype"),
        ("Dice", {}, jnp.ones(4), jnp.ones(4), r"f32\[4\] has no axis besides that of the batch"),
        ("Dice", {"axis": (0, 1)}, P, P, r"f32\[2,3\] has no axis of pixels at `axis=0`"),
        ("Tversky", {"axis": 2}, P, P, r"f32\[2,3\] has no axis of pixels at `axis=2`"),
        ("CTC", {}, jnp.ones(2, jnp.int32), jnp.ones((2, 3, 4)), r"i32\[2\].*f32\[2,3,4\].*\(batch, labels\)"),
        ("CTC", {}, jnp.ones((2, 1)), jnp.ones((2, 3, 4)), r"`y_true` f32\[2,1\] must hold labels.*astype"),
        ("NTXent", {}, jnp.ones(2), P, r"`y_true` is f32\[2\], and labels of an integer dtype"),
        ("NTXent", {}, jnp.ones(2, jnp.int32), P[:, 0], r"i32\[2\].*f32\[2\] must be labels and embeddings"),
        ("Circle", {}, jnp.ones((2, 3), jnp.int32), P, r"i32\[2,3\].*must be labels and embeddings"),
        ("Quantile", {"q": [0.1, 0.9]}, P, P, r"f32\[2,3\], and for 2 quantiles.*shape \(2, 3, 2\) is expected"),
        ("GaussianNLL", {}, P, P, r"`y_pred` is f32\[2,3\], and a tuple of 2 arrays.*\(mean, variance\)"),
        ("GaussianNLL", {}, P, (P, P[:, :1]), r"`y_pred\[1\]` \(the variance\) f32\[2,1\] and `y_true` f32\[2,3\]"),
        ("GaussianNLL", {}, P, (P, P.astype(complex)), r"`y_pred\[1\]` is c64\[2,3\], and real numbers"),
    ],
)
def test_values_that_do_not_fit(name: str, options: dict[str, Any], y_true: Any, y_pred: Any, error: str):
    with pytest.raises(tg.ContractError, match=error):
        getattr(tg.losses, name)(**options)(y_true=y_true, y_pred=y_pred)


def test_triplets_that_do_not_fit():
    loss = tg.losses.TripletMargin()
    with pytest.raises(
        tg.ContractError, match=r"\(f32\[2,3\], f32\[2,3\]\), and a tuple of 3.*\(anchor, positive, neg"
    ):
        loss((P, P))
    with pytest.raises(
        tg.ContractError, match=r"`y_pred\[0\]` \(the anchor\) f32\[2,3\], .*f32\[2,1\].*nothing is broad"
    ):
        loss((P, P, P[:, :1]))
    with pytest.raises(tg.ContractError, match=r"\(the anchor\) is f32\[4\], and vectors are expected"):
        loss((jnp.ones(4),) * 3)


def test_functions_check_their_batches_too():
    with pytest.raises(tg.ContractError, match=r"i32\[3,1\].*f32\[2,3,4\] must be sequences of labels and of logits"):
        tg.losses.ctc(jnp.ones((3, 1), jnp.int32), jnp.ones((2, 3, 4)))
    with pytest.raises(tg.ContractError, match=r"i32\[3\].*f32\[2,3\] must be labels and embeddings"):
        tg.losses.ntxent(jnp.ones(3, jnp.int32), P)


def test_lengths_and_weights_that_do_not_fit():
    labels, logits = jnp.ones((2, 1), jnp.int32), jnp.ones((2, 3, 4))
    for bad in (jnp.ones(2), jnp.ones(3, jnp.int32)):
        with pytest.raises(tg.ContractError, match="`lengths` is .* one integer for each of the 2 sequences"):
            tg.losses.ctc(labels, logits, lengths=bad)
    with pytest.raises(tg.ContractError, match=r"`sample_weight` f32\[3\] doesn't line up"):
        tg.losses.NTXent()(jnp.array([0, 1]), P, sample_weight=jnp.ones(3))


SCORES, CLASSES = np.random.default_rng(3).uniform(size=(2, 64, 4)).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    "term",
    [
        tg.losses.CategoricalCrossentropy(from_logits=True),
        tg.losses.CategoricalCrossentropy(),
        tg.losses.CategoricalFocalCrossentropy(from_logits=True),
        tg.losses.PolyLoss(),
        tg.metrics.F1Score(average="micro"),
        tg.metrics.TopKCategoricalAccuracy(k=1),
    ],
    ids=lambda term: type(term).__name__,
)
def test_what_is_computed_twice_may_be_rounded_twice(term):
    """The compiler computes predictions anew where they are compared with their maximum."""
    labels = np.eye(4, dtype="float32")[CLASSES.argmax(axis=-1)]

    def value(factor, scores):
        found = term(labels, scores * factor + np.float32(0.05))
        return found if isinstance(term, tg.Loss) else found.compute()

    found = jax.jit(value)(np.float32(0.9), SCORES)
    np.testing.assert_allclose(found, value(np.float32(0.9), SCORES), rtol=1e-5)
