"""Regression and aggregate metrics against Keras 3, scikit-learn, SciPy and NumPy, over several batches."""

import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from treegy._terms._accumulator import merge_all
from treegy.metrics._accumulators._moments import Moments

pytestmark = pytest.mark.once

Cut = list[dict[str, Any]]


def figure(metric: Any, batches: Cut) -> Any:
    """The value over all batches, compiled as one program: operation by operation would take longer."""

    def run(batches: Cut) -> Any:
        first, *others = [metric(**batch) for batch in batches]
        for other in others:
            first = first.merge(other)
        return first.compute()

    return jax.jit(run)(batches)


def cut(sizes: Sequence[int] = (4, 4), **values: Any) -> Cut:
    """Batches of these sizes: the same ones everywhere, as each shape is compiled again."""
    ends = np.cumsum([0, *sizes])
    return [
        {name: None if v is None else v[start:end] for name, v in values.items()}
        for start, end in zip(ends, ends[1:], strict=False)
    ]


def examples(kind: str, n: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if kind == "signs":
        return rng.integers(0, 2, (n, 3)), rng.normal(size=(n, 3)).astype("float32")
    if kind == "counts":
        return rng.poisson(3, (n, 3)), rng.uniform(0.1, 5, (n, 3)).astype("float32")
    if kind == "positive":
        return rng.uniform(0, 9, (n, 3)).astype("float32"), rng.uniform(0, 9, (n, 3)).astype("float32")
    if kind == "numbers":
        y_true = rng.normal(size=(n, 3))
        return y_true.astype("float32"), (y_true + rng.normal(size=(n, 3))).astype("float32")
    if kind == "binary":
        return rng.integers(0, 2, (n, 3)), rng.uniform(size=(n, 3)).astype("float32")
    scores = rng.dirichlet(np.ones(4), n).astype("float32")
    labels = rng.integers(0, 4, n)
    return (labels if kind == "indices" else np.eye(4, dtype="float32")[labels]), scores


WEIGHT = np.array([0.5, 2, 1, 0, 1, 3, 0.25, 1], "float32")


# Keras 3


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("RootMeanSquaredError", "numbers", {}),
        ("MeanAbsolutePercentageError", "positive", {}),
        ("MeanSquaredLogarithmicError", "positive", {}),
        ("LogCoshError", "numbers", {}),
        ("CosineSimilarity", "numbers", {}),
        ("R2Score", "numbers", {}),
        ("R2Score", "numbers", {"class_aggregation": None}),
        ("R2Score", "numbers", {"class_aggregation": "variance_weighted_average"}),
        ("PearsonCorrelation", "numbers", {}),
        ("ConcordanceCorrelation", "numbers", {}),
        ("KLDivergence", "one-hot", {}),
        ("Poisson", "counts", {}),
        ("Hinge", "signs", {}),
        ("SquaredHinge", "signs", {}),
        ("CategoricalHinge", "one-hot", {}),
        ("BinaryCrossentropy", "binary", {"label_smoothing": 0.1}),
        ("BinaryCrossentropy", "signs", {"from_logits": True}),
        ("CategoricalCrossentropy", "one-hot", {"label_smoothing": 0.1}),
        ("CategoricalCrossentropy", "one-hot", {"from_logits": True}),
        ("SparseCategoricalCrossentropy", "indices", {}),
        ("SparseCategoricalCrossentropy", "indices", {"from_logits": True}),
    ],
)
def test_equals_keras(name: str, kind: str, options: dict[str, Any], weighted: bool, standard_promotion: Any):
    keras = pytest.importorskip("keras")
    y_true, y_pred = examples(kind)
    batches = cut(y_true=y_true, y_pred=y_pred, sample_weight=WEIGHT if weighted else None)
    with standard_promotion():
        theirs = getattr(keras.metrics, name)(**options)
        for batch in batches:
            theirs.update_state(**batch)
        expected = np.asarray(theirs.result())
    got = figure(getattr(tg.metrics, name)(**options), batches)
    assert got.dtype == jnp.float32 and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_adjusted_r2_equals_keras(standard_promotion: Any):
    keras = pytest.importorskip("keras")
    y_true, y_pred = (y[:, :1] for y in examples("numbers"))
    for regressors in (2, 7, 9):  # the last two leave no degree of freedom: the score as it is
        with standard_promotion(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = keras.metrics.R2Score(num_regressors=regressors)
            theirs.update_state(y_true, y_pred)
            expected = float(theirs.result())
        got = figure(tg.metrics.R2Score(num_regressors=regressors), cut(y_true=y_true, y_pred=y_pred))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_examples_without_weight_are_none_to_the_adjusted_score():
    y_true, y_pred = (y[:, :1] for y in examples("numbers"))
    r2 = tg.metrics.R2Score(num_regressors=2)
    weight = np.array([1, 1, 0, 1, 1, 0, 1, 1], "float32")
    kept = weight > 0
    expected = figure(r2, cut((6,), y_true=y_true[kept], y_pred=y_pred[kept]))
    got = figure(r2, cut(y_true=y_true, y_pred=y_pred, sample_weight=weight))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# scikit-learn and SciPy


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_scores_equal_scikit_learn(weight: Any):
    reference = pytest.importorskip("sklearn.metrics")
    y_true, y_pred = examples("numbers", seed=1)
    batches = cut(y_true=y_true, y_pred=y_pred, sample_weight=weight)
    aggregations = {
        None: "raw_values",
        "uniform_average": "uniform_average",
        "variance_weighted_average": "variance_weighted",
    }
    for aggregation, multioutput in aggregations.items():
        for cls, function in (
            (tg.metrics.R2Score, reference.r2_score),
            (tg.metrics.ExplainedVariance, reference.explained_variance_score),
        ):
            expected = function(y_true, y_pred, sample_weight=weight, multioutput=multioutput)
            got = figure(cls(class_aggregation=aggregation), batches)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    expected = reference.root_mean_squared_error(y_true.ravel(), y_pred.ravel())
    got = figure(tg.metrics.RootMeanSquaredError(), cut(y_true=y_true, y_pred=y_pred))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("cls, score", [("R2Score", "r2_score"), ("ExplainedVariance", "explained_variance_score")])
def test_labels_that_do_not_vary(cls: str, score: str):
    reference = getattr(pytest.importorskip("sklearn.metrics"), score)
    # A number that no float holds: the mean of equal ones is to be that number.
    y_true = np.full(8, 0.1, "float32")
    for y_pred in (y_true, y_true + np.arange(8, dtype="float32")):
        got = figure(getattr(tg.metrics, cls)(), cut(y_true=y_true, y_pred=y_pred, sample_weight=WEIGHT))
        assert float(got) == reference(y_true, y_pred)
    several = np.stack([y_true, np.arange(8, dtype="float32")], axis=1)
    metric = getattr(tg.metrics, cls)(class_aggregation="variance_weighted_average")
    assert float(figure(metric, cut(y_true=several, y_pred=several))) == 1
    constant = np.stack([y_true, y_true], axis=1)
    assert float(figure(metric, cut(y_true=constant, y_pred=constant + several[:, 1:]))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("shape", [(8,), (8, 3)])
def test_correlations_over_examples(shape: tuple[int, ...], weight: Any):
    y_true, y_pred = (y[:, 0] if len(shape) == 1 else y for y in examples("numbers", seed=2))
    w = np.ones(8) if weight is None else weight.astype("float64")
    a, b = y_true.astype("float64").reshape(8, -1), y_pred.astype("float64").reshape(8, -1)
    pearson, concordance = [], []
    for i in range(a.shape[1]):
        cov = np.cov(a[:, i], b[:, i], aweights=w, ddof=0)
        apart = np.average(a[:, i], weights=w) - np.average(b[:, i], weights=w)
        pearson.append(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))
        concordance.append(2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + apart**2))
    batches = cut(y_true=y_true, y_pred=y_pred, sample_weight=weight)
    for cls, expected in ((tg.metrics.PearsonCorrelation, pearson), (tg.metrics.ConcordanceCorrelation, concordance)):
        got = figure(cls(axis=0), batches)
        assert got.shape == shape[1:]
        np.testing.assert_allclose(got, np.reshape(expected, shape[1:]), rtol=1e-5)
    if len(shape) == 1:
        assert figure(tg.metrics.PearsonCorrelation(), batches) == figure(
            tg.metrics.PearsonCorrelation(axis=0), batches
        )


def test_correlations_equal_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    y_true = rng.integers(0, 5, 30).astype("float32")  # with ties
    y_pred = (y_true + rng.normal(size=30) * 2).round().astype("float32")
    batches = cut((15, 15), y_true=y_true, y_pred=y_pred)
    pearson = figure(tg.metrics.PearsonCorrelation(), batches)
    np.testing.assert_allclose(pearson, stats.pearsonr(y_true, y_pred).statistic, rtol=1e-5)
    spearman = figure(tg.metrics.SpearmanCorrelation(capacity=30), batches)
    np.testing.assert_allclose(spearman, stats.spearmanr(y_true, y_pred).statistic, rtol=1e-5)


def test_weights_of_ranks_are_repetitions():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(4)
    y_true, y_pred = rng.integers(0, 4, (8, 3)).astype("float32"), rng.integers(0, 4, (8, 3)).astype("float32")
    weight = np.array([1, 2, 0, 3, 1, 0, 2, 4])
    metric = tg.metrics.SpearmanCorrelation(capacity=6)  # those of weight 0 need no room
    got = figure(metric, cut(y_true=y_true, y_pred=y_pred, sample_weight=weight))
    for i in range(3):
        expected = stats.spearmanr(np.repeat(y_true[:, i], weight), np.repeat(y_pred[:, i], weight)).statistic
        np.testing.assert_allclose(got[i], expected, rtol=1e-5)


@pytest.mark.slow
def test_correlation_along_another_axis(standard_promotion: Any):
    y_true, y_pred = examples("numbers")
    keras = pytest.importorskip("keras")
    for name in ("pearson_correlation", "concordance_correlation"):
        with standard_promotion():
            theirs = getattr(keras.metrics, name)(y_true, y_pred, axis=0)
        ours = getattr(tg.metrics, name)(jnp.asarray(y_true), jnp.asarray(y_pred), axis=0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(y_true, y_pred, strict=True)])
    got = figure(tg.metrics.PearsonCorrelation(axis=1), cut(y_true=y_true[..., None], y_pred=y_pred[..., None]))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# Means, extremes, moments


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_aggregates_equal_numpy(weight: Any):
    values = np.random.default_rng(5).normal(size=(8, 2, 3)).astype("float32") + 3
    w = np.ones(8) if weight is None else weight.astype("float64")
    spread = np.broadcast_to(w[:, None, None], values.shape)
    mean = np.average(values.astype("float64"), weights=spread)
    variance = np.average((values.astype("float64") - mean) ** 2, weights=spread)
    expected = {
        "Min": values[w > 0].min(),
        "Max": values[w > 0].max(),
        "Variance": variance,
        "Std": np.sqrt(variance),
    }
    for name, value in expected.items():
        got = figure(getattr(tg.metrics, name)(), cut(y_pred=values, sample_weight=weight))
        assert got.shape == () and got.dtype == jnp.float32
        np.testing.assert_allclose(got, value, rtol=1e-6)


def test_of_a_name_or_a_function():
    values = {"x": jnp.array([1.0, 5.0]), "y_true": jnp.array([1.0, 2.0]), "y_pred": jnp.array([2.0, 6.0])}
    for name, of_x, of_error in (("Min", 1, 1), ("Max", 5, 4), ("Variance", 4, 2.25), ("Std", 2, 1.5)):
        cls = getattr(tg.metrics, name)
        assert float(cls(of="x")(**values)) == of_x
        assert float(cls(of=lambda y_pred, y_true: y_pred - y_true)(**values)) == of_error
        parts = cls(of=lambda x, y_pred: {"a": x, "b": tg.Masked(y_pred, y_pred < 3)})(**values)
        assert float(parts["a"]) == of_x
        assert float(parts["b"]) == (0 if name in ("Variance", "Std") else 2)
        with pytest.raises(tg.ContractError, match="`of` returned"):
            cls(of=lambda y_pred: (y_pred, y_pred))(jnp.ones(2))
        with pytest.raises(TypeError, match="of"):
            cls(of=3)
    assert float(tg.metrics.Max(of=lambda parameters: parameters["w"])(parameters={"w": jnp.arange(3.0)})) == 2
    with pytest.raises(ValueError, match="`of` asks for parameters, and a variance over examples needs one of x"):
        tg.metrics.Variance(of=lambda parameters: parameters["w"])
    with pytest.raises(ValueError, match="a standard deviation over examples"):
        tg.metrics.Std(of=lambda parameters: parameters["w"])


def test_extremes_of_nothing_and_of_nan():
    nothing = np.zeros(2, "float32")
    values = np.array([np.nan, 2], "float32")
    assert tg.metrics.Min()(values, sample_weight=nothing).compute() == jnp.inf
    assert tg.metrics.Max()(values, sample_weight=nothing).compute() == -jnp.inf
    assert jnp.isnan(tg.metrics.Max()(values).compute())
    assert tg.metrics.Max()(values, sample_weight=np.array([0, 1])).compute() == 2


def merged(metric: Any, columns: Sequence[Any]) -> Any:
    """The value over many batches, `(batches, size)` of labels and predictions."""

    def step(total: Any, values: Any) -> Any:
        return merge_all(total, metric(*values)), None

    columns = [jnp.asarray(c) for c in columns]
    empty = metric(*(c[0] for c in columns)).empty()
    return jax.jit(lambda *c: jax.lax.scan(step, empty, c)[0].compute())(*columns)


@pytest.mark.slow
def test_moments_of_large_values_over_many_batches():
    rng = np.random.default_rng(6)
    y_true = (1e4 + rng.normal(size=(20000, 3))).astype("float32")
    y_pred = (y_true + rng.normal(size=(20000, 3)) * 0.5 + 0.1).astype("float32")
    a, b = y_true.astype("float64").ravel(), y_pred.astype("float64").ravel()
    cov = np.cov(a, b, ddof=0)
    expected = {
        "PearsonCorrelation": cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]),
        "ConcordanceCorrelation": 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + (a.mean() - b.mean()) ** 2),
        "R2Score": 1 - np.mean((a - b) ** 2) / cov[0, 0],
        "ExplainedVariance": 1 - np.var(a - b) / cov[0, 0],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(merged(getattr(tg.metrics, name)(), (y_true, y_pred)), value, rtol=2e-6)
    np.testing.assert_allclose(merged(tg.metrics.Variance(), (y_true,)), cov[0, 0], rtol=1e-6)
    # In one batch as well.
    np.testing.assert_allclose(tg.metrics.Variance()(y_true).compute(), cov[0, 0], rtol=1e-5)


def test_moments_count_beyond_2_to_the_24():
    one = Moments.of((jnp.array([0.0, 2.0]),))
    many = eqx.tree_at(
        lambda m: (m.weight, m.products), one, replace_fn=lambda s: jax.tree.map(lambda a: a * 2.0**24, s)
    )
    after = jax.jit(lambda m: jax.lax.fori_loop(0, 1000, lambda _, m: m.merge(one), m))(many)
    assert float(after.weight.total) + float(after.weight.rest) == 2**25 + 2000
    assert float(after.products.total[0, 0]) + float(after.products.rest[0, 0]) == 2**25 + 2000


# Perplexity


@pytest.mark.parametrize("from_logits", [False, True])
def test_perplexity(from_logits: bool):
    rng = np.random.default_rng(7)
    labels = rng.integers(-1, 4, (8, 5))
    logits = rng.normal(size=(8, 5, 4)).astype("float32")
    p = np.exp(logits.astype("float64"))
    p /= p.sum(-1, keepdims=True)
    nll = -np.log(np.take_along_axis(p, np.maximum(labels, 0)[..., None], -1)[..., 0])
    w = WEIGHT.astype("float64")[:, None] * (labels >= 0)
    expected = np.exp(np.sum(w * nll) / np.sum(w))
    metric = tg.metrics.Perplexity(from_logits=from_logits, ignore_class=-1)
    y_pred = logits if from_logits else p.astype("float32")
    got = figure(metric, cut(y_true=labels, y_pred=y_pred, sample_weight=WEIGHT))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert jnp.isnan(tg.metrics.Perplexity(from_logits=from_logits)(labels, y_pred).compute())


# Degenerate data


@pytest.mark.parametrize(
    "metric, nothing",
    [
        (tg.metrics.RootMeanSquaredError(), 0),
        (tg.metrics.R2Score(), 0),
        (tg.metrics.R2Score(num_regressors=1), 0),
        (tg.metrics.ExplainedVariance(), 0),
        (tg.metrics.PearsonCorrelation(axis=0), [0, 0, 0]),
        (tg.metrics.ConcordanceCorrelation(axis=0), [0, 0, 0]),
        (tg.metrics.SpearmanCorrelation(capacity=8), [0, 0, 0]),
    ],
)
def test_weights_that_are_all_zero(metric: Any, nothing: Any):
    y_true, y_pred = examples("numbers")
    y_pred[2] = np.nan
    weight = np.zeros(8, "float32")
    np.testing.assert_array_equal(figure(metric, cut(y_true=y_true, y_pred=y_pred, sample_weight=weight)), nothing)


@pytest.mark.slow
def test_a_single_example_and_constants():
    y_true, y_pred = np.array([2.0], "float32"), np.array([3.0], "float32")
    for cls in (tg.metrics.R2Score, tg.metrics.PearsonCorrelation):
        assert float(cls()(y_true, y_pred)) == 0
    # Means apart by 1 and no variance.
    assert float(tg.metrics.ConcordanceCorrelation()(y_true, y_pred)) == 0
    constant = np.full(8, 0.1, "float32")
    varying = np.arange(8, dtype="float32")
    y_true = np.stack([constant, varying, constant], axis=1)
    y_pred = np.stack([varying, constant, constant], axis=1)
    for metric in (
        tg.metrics.PearsonCorrelation(axis=0),
        tg.metrics.ConcordanceCorrelation(axis=0),
        tg.metrics.SpearmanCorrelation(capacity=8),
    ):
        np.testing.assert_array_equal(figure(metric, cut(y_true=y_true, y_pred=y_pred)), np.zeros(3))
    zeros = np.zeros((4, 3), "float32")
    assert float(tg.metrics.CosineSimilarity()(zeros, np.ones((4, 3), "float32"))) == 0
    assert float(tg.metrics.PearsonCorrelation()(zeros, np.ones((4, 3), "float32"))) == 0


def test_nan_shows():
    y_true, y_pred = (y[:, 0] for y in examples("numbers"))
    y_pred[3] = np.nan
    for cls in (
        tg.metrics.R2Score,
        tg.metrics.ExplainedVariance,
        tg.metrics.PearsonCorrelation,
        tg.metrics.ConcordanceCorrelation,
        tg.metrics.SpearmanCorrelation,
        tg.metrics.RootMeanSquaredError,
    ):
        assert jnp.isnan(figure(cls(), cut(y_true=y_true, y_pred=y_pred)))


# Room for ranks


@pytest.mark.slow
def test_more_examples_than_there_is_room_for():
    y_true, y_pred = (y[:, 0] for y in examples("numbers"))
    batches = cut(y_true=y_true, y_pred=y_pred)
    a, b = (tg.metrics.SpearmanCorrelation(capacity=7)(**batch) for batch in batches)
    assert jnp.isfinite(a.compute()) and jnp.isnan(a.merge(b).compute())
    # However they are merged, and however many follow.
    assert jnp.isnan(a.merge(b.merge(b)).compute()) and jnp.isnan(a.merge(b).merge(b).merge(b.empty()).compute())
    with pytest.raises(tg.ContractError, match="8 examples are more than there is room for: pass `capacity=`"):
        tg.metrics.SpearmanCorrelation(capacity=7)(y_true, y_pred)
    one_too_many = tg.metrics.SpearmanCorrelation(capacity=7)(y_true, y_pred, sample_weight=np.ones(8))
    assert jnp.isnan(one_too_many.compute())
    with pytest.raises(
        ValueError, match="`capacity` is the number of examples to make room for, at least 1, and got 0"
    ):
        tg.metrics.SpearmanCorrelation(capacity=0)


# Errors


@pytest.mark.parametrize(
    "name",
    [
        "RootMeanSquaredError",
        "MeanAbsolutePercentageError",
        "LogCoshError",
        "R2Score",
        "ExplainedVariance",
        "PearsonCorrelation",
        "ConcordanceCorrelation",
        "SpearmanCorrelation",
        "Poisson",
        "Hinge",
    ],
)
def test_nothing_is_broadcast(name: str):
    metric = getattr(tg.metrics, name)()
    with pytest.raises(tg.ContractError, match=rf"{name}.*f32\[4,1\] and `y_pred` f32\[4\].*did the module forget"):
        metric(jnp.zeros((4, 1)), jnp.zeros(4))


def test_wrong_use():
    for cls in (tg.metrics.R2Score, tg.metrics.ExplainedVariance):
        with pytest.raises(ValueError, match="`class_aggregation` is one of 'uniform_average'.* and got 'macro'"):
            cls(class_aggregation="macro")
        with pytest.raises(tg.ContractError, match=r"are f32\[2,3,4\]; shapes like \(batch,\) or \(batch, outputs\)"):
            cls()(jnp.zeros((2, 3, 4)), jnp.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="`num_regressors` is the number of regressors, at least 0, and got -1"):
        tg.metrics.R2Score(num_regressors=-1)
    for cls in (tg.metrics.PearsonCorrelation, tg.metrics.ConcordanceCorrelation):
        with pytest.raises(tg.ContractError, match=r"`y_pred` f32\[2,3\] has no axis 2"):
            cls(axis=2)(jnp.zeros((2, 3)), jnp.zeros((2, 3)))
        with pytest.raises(tg.ContractError, match=r"f32\[2,1\] has one element along `axis=-1`.*Pass `axis=0`"):
            cls()(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
    with pytest.raises(tg.ContractError, match=r"`sample_weight` f32\[2,2\] doesn't line up"):
        tg.metrics.R2Score()(jnp.zeros((2, 3)), jnp.zeros((2, 3)), sample_weight=jnp.ones((2, 2)))
    with pytest.raises(ValueError, match="label_smoothing"):
        tg.metrics.BinaryCrossentropy(label_smoothing=2.0)
    with pytest.raises(tg.ContractError, match="integer dtype"):
        tg.metrics.Perplexity()(jnp.zeros(2), jnp.ones((2, 3)))
