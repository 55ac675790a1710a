"""Metrics made of other metrics: by group, resampled, over the last batches, by class."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float, TypeCheckError

import treegy as tg
from helpers.every_loss_and_metric import CLASSES, OPTIONS, fits, kind_of, make, make_data
from treegy._terms._accumulator import compute_all
from treegy.metrics._wrappers._bootstrap import poisson
from treegy.metrics._wrappers._wrapper import Wrapper

pytestmark = pytest.mark.once

Data = dict[str, Any]

# One of each kind of accumulator; the others are slow.
FEW = {"MeanSquaredError", "AUC", "ConfusionMatrix", "PearsonCorrelation", "SpearmanCorrelation", "NDCG", "BLEU", "Max"}


def few(cls: Any, options: Data) -> bool:
    return cls.__name__ in FEW and not options


METRICS = [
    pytest.param(
        cls, options, id="-".join([cls.__name__, *options]), marks=[] if few(cls, options) else [pytest.mark.slow]
    )
    for cls in CLASSES
    if issubclass(cls, tg.Metric) and not issubclass(cls, Wrapper)
    for options in [{}, *OPTIONS.get(cls.__name__, [])]
    if fits(options, cls)
]

GROUPS = np.array([2, 0, 1, 1, 0, 2, 0, 1, 2])
WEIGHT = np.array([1, 2, 0.5, 0, 1, 3, 1, 1, 2], "float32")


def some(n: int = 9) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=n), jnp.float32), jnp.asarray(rng.normal(size=n), jnp.float32)


def rows(data: Any, which: Any) -> Any:
    return jax.tree.map(lambda a: a[which], data)


def bias(y_true: Any, y_pred: Any) -> Any:
    return y_pred - y_true


# By group


@pytest.mark.parametrize("cls, options", METRICS)
def test_a_group_is_its_examples_alone(cls: Any, options: Data):
    metric = make(cls, options)
    data = make_data(kind_of(cls), 9, np.random.default_rng(0))
    by_group = tg.metrics.ByGroup(metric, by="group", num_groups=4)

    @jax.jit
    def grouped(data: Any, group: Any, weight: Any) -> Any:
        return compute_all({"": by_group(**data, group=group, sample_weight=weight)})

    @jax.jit
    def alone(data: Any, weight: Any) -> Any:
        return compute_all({"": metric(**data, sample_weight=weight)})

    got = grouped(data, GROUPS, WEIGHT)
    expected = [alone(rows(data, GROUPS == g), WEIGHT[GROUPS == g]) for g in range(3)]
    expected.append(alone(rows(data, GROUPS == 0), np.zeros(3, "float32")))  # a group of nothing
    assert list(got) == list(expected[0])
    for name in got:
        for g in range(4):
            np.testing.assert_allclose(got[name][g], expected[g][name], rtol=3e-6, atol=1e-6)


def test_groups_of_a_function_and_of_labels_along_time():
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.normal(size=(2, 5, 3)).astype("float32")
    group = rng.integers(0, 2, (5, 3))
    weight = np.array([1, 0, 2, 1, 1], "float32")
    by = tg.metrics.ByGroup(tg.metrics.Mean(of=bias), by=lambda x: x["group"], num_groups=2)
    got = by(y_true=y_true, y_pred=y_pred, x={"group": group}, sample_weight=weight).compute()
    w = np.broadcast_to(weight[:, None], (5, 3))
    expected = [np.average((y_pred - y_true)[group == g], weights=w[group == g]) for g in range(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    # Weights of the values, and a group for each example.
    got = by(y_true=y_true, y_pred=y_pred, x={"group": group[:, 0]}, sample_weight=w * 1.0).compute()
    expected = [np.average((y_pred - y_true)[group[:, 0] == g], weights=w[group[:, 0] == g]) for g in range(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32, bool])
def test_groups_of_any_integers(dtype: Any):
    y_true, y_pred = some(4)
    group = jnp.asarray([1, 0, 1, 0]).astype(dtype)
    by = tg.metrics.ByGroup(tg.metrics.MeanAbsoluteError(), by=lambda group: group, num_groups=2)
    error = np.abs(np.asarray(y_true) - np.asarray(y_pred))
    got = by(y_true, y_pred, group=group).compute()
    np.testing.assert_allclose(got, [error[1::2].mean(), error[::2].mean()], rtol=1e-6)


def test_what_is_in_no_group():
    y_true, y_pred = some(4)
    for astray in (-1, 2):
        group = jnp.array([0, astray, 1, 1])
        by = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(), by="group", num_groups=2)
        batch = by(y_true, y_pred, group=group)
        fine = by(y_true, y_pred, group=group, sample_weight=jnp.array([1.0, 0.0, 1.0, 1.0]))
        assert np.all(np.isnan(batch.compute())) and np.all(np.isfinite(fine.compute()))
        assert np.all(np.isnan(fine.merge(batch).compute()))
        left_out = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(), by="group", num_groups=2, check_bounds=False)
        np.testing.assert_allclose(left_out(y_true, y_pred, group=group).compute(), fine.compute(), rtol=1e-6)


def test_metrics_of_several_parts_losses_and_functions():
    def parts(y_true: Any, y_pred: Any) -> Any:
        return {"bias": y_pred - y_true, "error": jnp.abs(y_pred - y_true)}

    y_true, y_pred = some()
    got = tg.metrics.ByGroup(parts, by="group", num_groups=3)(y_true, y_pred, group=GROUPS)
    expected = np.asarray(y_pred - y_true)
    for name, values in (("bias", expected), ("error", np.abs(expected))):
        means = [values[GROUPS == g].mean() for g in range(3)]
        np.testing.assert_allclose(got[name].compute(), means, rtol=1e-5)
    got = tg.metrics.ByGroup(tg.losses.MeanSquaredError(), by="group", num_groups=3)(y_true, y_pred, group=GROUPS)
    np.testing.assert_allclose(got.compute(), [(expected[GROUPS == g] ** 2).mean() for g in range(3)], rtol=1e-5)


# Bootstrap


def test_draws_are_those_of_poisson():
    pmf = pytest.importorskip("scipy.stats").poisson(1).pmf
    draws = np.asarray(poisson(jax.random.key(0), (400, 500)))
    assert set(np.unique(draws)) <= set(range(11))
    for k in range(6):
        p = pmf(k)
        assert abs((draws == k).mean() - p) < 4 * np.sqrt(p * (1 - p) / draws.size)


def test_a_replicate_is_the_metric_with_drawn_weights():
    y_true, y_pred = some()
    metric, key = tg.metrics.MeanSquaredError(), jax.random.key(1)
    batch = tg.metrics.Bootstrap(metric, n=5)(y_true, y_pred, key=key, sample_weight=WEIGHT)
    draws = poisson(jax.random.split(key)[0], (5, 9))
    error = np.square(np.asarray(y_true, "float64") - np.asarray(y_pred, "float64"))
    expected = [np.average(error, weights=WEIGHT * np.asarray(w)) for w in draws]
    np.testing.assert_allclose(batch.replicates.compute(), expected, rtol=1e-5)
    # Weights that are booleans are 0 and 1, and not a reason to draw no more than that.
    masked = tg.metrics.Bootstrap(metric, n=5)(y_true, y_pred, key=key, sample_weight=WEIGHT > 0)
    of_some = [np.average(error, weights=(WEIGHT > 0) * np.asarray(w)) for w in draws]
    np.testing.assert_allclose(masked.replicates.compute(), of_some, rtol=1e-5)
    figures = batch.compute()
    assert list(figures) == ["mean", "std", "q0.025", "q0.975"]
    np.testing.assert_allclose(figures["mean"], np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(figures["std"], np.std(expected, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(figures["q0.975"], np.quantile(expected, 0.975), rtol=1e-5)
    assert list(tg.metrics.Bootstrap(metric, n=5, quantiles=0.5)(y_true, y_pred, key=key).compute())[2:] == ["q0.5"]


@pytest.mark.slow
def test_the_spread_is_the_standard_error():
    values = np.random.default_rng(2).normal(size=(8, 500)).astype("float32") * 3
    uncertain = tg.metrics.Bootstrap(tg.metrics.Mean(), n=400)

    @jax.jit
    def figures(values: Any) -> Any:
        batches = [uncertain(v, key=jax.random.key(i)) for i, v in enumerate(values)]
        total = batches[0]
        for batch in batches[1:]:
            total = total.merge(batch)
        return total.compute()

    got = figures(values)
    error = values.std() / np.sqrt(values.size)
    # Of 400 replicates the spread is known to 1 / sqrt(800), 3.5%.
    np.testing.assert_allclose(got["std"], error, rtol=0.15)
    assert abs(got["mean"] - values.mean()) < 4 * error / 20
    np.testing.assert_allclose(got["q0.975"] - got["q0.025"], 2 * 1.96 * error, rtol=0.25)


@pytest.mark.slow
def test_examples_without_weight_are_not_drawn():
    y_true, y_pred = some()
    y_pred = y_pred.at[3].set(jnp.nan)  # of weight 0
    batch = tg.metrics.Bootstrap(tg.metrics.R2Score(), n=5)(y_true, y_pred, key=jax.random.key(0), sample_weight=WEIGHT)
    assert all(np.isfinite(v) for v in batch.compute().values())
    with pytest.raises(tg.InjectionError, match="(?s)asks for `key`.*There is no `key`: pass one"):
        tg.metrics.Bootstrap(tg.metrics.Mean())(y_pred)


# The last batches


@pytest.mark.parametrize("k", [1, 3, 7])
def test_running_is_the_figure_of_the_last_batches(k: int):
    y_true, y_pred = some(10)
    batches = [slice(0, 3), slice(3, 5), slice(5, 7), slice(7, 10)]
    correlation, largest = tg.metrics.PearsonCorrelation(), tg.metrics.Max(of=bias)

    @jax.jit
    def figures(y_true: Any, y_pred: Any) -> Any:
        total, found = None, []
        for batch in batches:
            new = [tg.metrics.Running(m, k=k)(y_true[batch], y_pred[batch]) for m in (correlation, largest)]
            total = [one.empty() for one in new] if total is None else total
            total = [a.merge(b) for a, b in zip(total, new, strict=True)]
            found.append([one.compute() for one in total])
        return found

    for i, got in enumerate(figures(y_true, y_pred)):
        last = slice(batches[max(0, i + 1 - k)].start, batches[i].stop)
        a, b = np.asarray(y_true[last], "float64"), np.asarray(y_pred[last], "float64")
        np.testing.assert_allclose(got, [np.corrcoef(a, b)[0, 1], np.max(b - a)], rtol=1e-5)


def test_the_laws_of_running(tree_allclose: Any):
    running = tg.metrics.Running(tg.metrics.Mean(), k=3)
    a, b, c, d = (running(jnp.array([v])) for v in (1.0, 2.0, 4.0, 8.0))
    one, other = a.merge(b).merge(c.merge(d)), a.merge(b.merge(c)).merge(d)
    assert tree_allclose(one, other)
    np.testing.assert_allclose(one.compute(), (2 + 4 + 8) / 3, rtol=1e-6)
    assert tree_allclose(a.empty().merge(one), one) and tree_allclose(one.merge(a.empty()), one)
    assert float(a.empty()) == 0
    # It does not commute, by its meaning.
    np.testing.assert_allclose(c.merge(d).merge(a.merge(b)).compute(), (8 + 1 + 2) / 3, rtol=1e-6)


# By class


def test_figures_of_classes_by_name_and_by_number():
    y_true, y_pred = jnp.array([1, 1, 0]), jnp.array([0.4, 0.8, 0.6])
    recall = tg.metrics.Recall(thresholds=[0.2, 0.6])
    named = tg.metrics.Classwise(recall, labels=["low", "high"])(y_true, y_pred)
    assert {k: float(v) for k, v in named.merge(named).compute().items()} == {"low": 1, "high": 0.5}
    assert list(tg.metrics.Classwise(recall)(y_true, y_pred).compute()) == ["0", "1"]


# Wrappers of wrappers


def test_wrappers_of_wrappers_keep_the_laws():
    by_group = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(), by=lambda x: x, num_groups=2)
    y_true, y_pred = some(7)
    x = jnp.array([0, 1, 0, 1, 1, 0, 0])
    tg.testing.check_metric(tg.metrics.Classwise(by_group, labels=["a", "b"]), x=x, y_true=y_true, y_pred=y_pred)


def test_wrappers_of_wrappers():
    y_true, y_pred = some()
    values, other = np.asarray(y_pred - y_true), np.array([0, 0, 1, 1, 0, 1, 1, 0, 1])
    given = {"y_true": y_true, "y_pred": y_pred, "group": GROUPS}
    mean = tg.metrics.Mean(of=bias)
    by_group = tg.metrics.ByGroup(mean, by="group", num_groups=3)
    running = [
        tg.metrics.Running(by_group, k=2),
        tg.metrics.ByGroup(tg.metrics.Running(mean, k=2), by="group", num_groups=3),
    ]
    resampled = [
        tg.metrics.Bootstrap(by_group, n=4),
        tg.metrics.ByGroup(tg.metrics.Bootstrap(mean, n=4), by="group", num_groups=3),
    ]
    named = tg.metrics.Classwise(tg.metrics.Bootstrap(by_group, n=4), labels=list("abc"))

    @jax.jit
    def figures(given: Data, other: Any, key: Any) -> Any:
        last = []
        for metric in running:
            first = metric(y_true=given["y_true"][:3] + 9, y_pred=given["y_pred"][:3], group=given["group"][:3])
            second, third = (metric(**rows(given, part)) for part in (slice(0, 5), slice(5, 9)))
            last.append(first.merge(second).merge(third).compute())
        twice = tg.metrics.ByGroup(by_group, by="other", num_groups=2)(**given, other=other).compute()
        drawn = [metric(**given, key=key).compute() for metric in resampled]
        return last, twice, drawn, compute_all({"it": named(**given, key=key)})

    last, twice, (one, other_way), by_name = figures(given, other, jax.random.key(0))
    means = [values[GROUPS == g].mean() for g in range(3)]
    np.testing.assert_allclose(last, [means, means], rtol=1e-5)
    expected = [[values[(GROUPS == g) & (other == o)].mean() for g in range(3)] for o in range(2)]
    np.testing.assert_allclose(twice, expected, rtol=1e-5)
    assert list(by_name)[:4] == ["it/mean/a", "it/mean/b", "it/mean/c", "it/std/a"]
    for name in ("mean", "std", "q0.025"):
        assert one[name].shape == (3,)
        np.testing.assert_allclose(one[name], other_way[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose([by_name[f"it/{name}/{g}"] for g in "abc"], one[name], rtol=1e-5, atol=1e-6)


def test_double_precision_stays():
    values = np.random.default_rng(4).normal(size=9) + 1e8

    def figures(values: Any, key: Any) -> Any:
        spread = tg.metrics.ByGroup(tg.metrics.Variance(), by="group", num_groups=3)
        batch = tg.metrics.Running(tg.metrics.Bootstrap(spread, n=2), k=2)(values, group=GROUPS, key=key)
        exact = tg.metrics.Variance()(values[:5]).merge(tg.metrics.Variance()(values[5:]))
        return batch.merge(batch.empty()).compute(), exact.compute()

    with jax.enable_x64(True):
        drawn, exact = jax.jit(figures)(values, jax.random.key(0))
    assert drawn["mean"].dtype == jnp.float64
    np.testing.assert_allclose(exact, np.var(values - 1e8), rtol=1e-7)


def test_parts_of_the_labels_and_predictions():
    y_true, y_pred = some()
    values = np.square(np.asarray(y_pred - y_true))
    means = [values[GROUPS == g].mean() for g in range(3)]
    batch = {"y_true": {"a": y_true, "site": GROUPS}, "y_pred": {"a": y_pred}}
    inner = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(on="a"), by=lambda y_true: y_true["site"], num_groups=3)
    np.testing.assert_allclose(inner(**batch).compute(), means, rtol=1e-5)
    outer = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(), by="group", num_groups=3, on="a")
    np.testing.assert_allclose(outer(**batch, group=GROUPS).compute(), means, rtol=1e-5)
    weights = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(on={"sample_weight": "w"}), by="group", num_groups=3)
    got = weights(y_true, y_pred, group=GROUPS, sample_weight={"w": WEIGHT}).compute()
    expected = [np.average(values[GROUPS == g], weights=WEIGHT[GROUPS == g]) for g in range(3)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# In a model


def make_model(metrics: Any, seed: int = 0) -> Any:
    class OfFeatures(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, features: Float[Array, "features"]) -> Float[Array, "outputs"]:
            return self.linear(features)

    module = OfFeatures(eqx.nn.Linear(3, 1, key=jax.random.key(0)))
    return tg.Model(module, loss=tg.losses.MeanSquaredError(), metrics=metrics, optimizer=optax.sgd(0.01), seed=seed)


def model_data(n: int = 22) -> tuple[Data, np.ndarray]:
    rng = np.random.default_rng(3)
    x = {"features": rng.normal(size=(n, 3)).astype("float32"), "site": rng.integers(0, 3, n)}
    return x, rng.normal(size=(n, 1)).astype("float32")


@pytest.mark.slow
def test_wrappers_in_a_model():
    x, y = model_data()
    error = tg.metrics.MeanSquaredError()
    by_site = tg.metrics.ByGroup(error, by=lambda x: x["site"], num_groups=3)
    metrics = [
        by_site,
        tg.metrics.Classwise(by_site, labels=["a", "b", "c"], name="by_site"),
        tg.metrics.Bootstrap(error, n=8, quantiles=0.5),
        tg.metrics.Running(bias, k=2),
    ]
    model = make_model(metrics)
    logs = model.evaluate(x, y, batch_size=8, verbose=0)
    assert list(logs) == [
        "loss",
        "mean_squared_error_loss",
        "mean_squared_error_by_group",
        "by_site/a",
        "by_site/b",
        "by_site/c",
        "mean_squared_error_bootstrap/mean",
        "mean_squared_error_bootstrap/std",
        "mean_squared_error_bootstrap/q0.5",
        "running_bias",
    ]
    values = np.square(np.asarray(model.predict(x)) - y)
    expected = [values[x["site"] == g].mean() for g in range(3)]
    np.testing.assert_allclose(logs["mean_squared_error_by_group"], expected, rtol=1e-5)
    np.testing.assert_allclose([logs[f"by_site/{c}"] for c in "abc"], expected, rtol=1e-5)
    last = (np.asarray(model.predict(x)) - y)[8:]
    np.testing.assert_allclose(logs["running_bias"], last.mean(), rtol=1e-4)
    # Draws come from the seed alone.
    name = "mean_squared_error_bootstrap/std"
    assert logs[name] > 0 and model.evaluate(x, y, batch_size=8, verbose=0)[name] == logs[name]
    assert make_model(metrics, seed=1).evaluate(x, y, batch_size=8, verbose=0)[name] != logs[name]
    _, history = model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    assert len(history["by_site/a"]) == 2 and history[name][0] > 0


def test_the_axes_of_the_model_are_those_of_a_wrapped_metric():
    class OfOutputs(tg.Metric):
        def call(self, x: Float[Array, "batch outputs"]) -> Float[Array, "batch"]:
            return x[:, 0]

    x, y = model_data()
    metric = tg.metrics.Running(tg.metrics.Running(OfOutputs(on={"x": "features"}), k=2), k=2)
    with pytest.raises(
        tg.ContractError, match="(?s)`running_running_of_outputs` .*Axis `outputs` of `x.* is 3, and 1 from"
    ):
        make_model(metric).evaluate(x, y, verbose=0)


# Wrong use


def wrappers(metric: Any) -> list[Any]:
    return [
        lambda: tg.metrics.ByGroup(metric, by="group", num_groups=2),
        lambda: tg.metrics.Bootstrap(metric),
        lambda: tg.metrics.Running(metric, k=2),
        lambda: tg.metrics.Classwise(metric),
    ]


def test_what_is_no_metric():
    for build in wrappers(tg.metrics.Recall):
        with pytest.raises(TypeError, match=r"`\w+` got the class `Recall`, and a metric such as.*`Recall\(\)`"):
            build()
    for build in wrappers([tg.metrics.Recall()]):
        with pytest.raises(TypeError, match=r"`\w+` got \[an instance of Recall\], and a metric such as"):
            build()
    for build in wrappers("recall"):
        with pytest.raises(TypeError, match=r"`\w+` got 'recall'"):
            build()


def test_metrics_that_are_about_no_examples():
    def norm(parameters: Any) -> Any:
        return jnp.sum(parameters["w"])

    for build in wrappers(norm)[:2]:
        with pytest.raises(
            ValueError, match="weights examples, and its metric `norm` is about none: it asks for param"
        ):
            build()
    assert float(tg.metrics.Running(norm, k=2)(parameters={"w": jnp.ones(2)})) == 2

    def whole(y_pred: Any) -> Any:
        return jnp.mean(y_pred)

    with pytest.raises(
        tg.ContractError, match=r"whole_by_group` \(ByGroup\): metric `whole`.* returned a scalar where"
    ):
        tg.metrics.ByGroup(whole, by="group", num_groups=2)(jnp.ones(2), group=jnp.zeros(2, int))


def test_unfit_groups():
    with pytest.raises(TypeError, match="num_groups"):
        tg.metrics.ByGroup(bias, by="group")  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="`num_groups` is the number of groups, at least 1, and got 0"):
        tg.metrics.ByGroup(bias, by="group", num_groups=0)
    with pytest.raises((TypeError, TypeCheckError), match="by"):
        tg.metrics.ByGroup(bias, by=3, num_groups=2)  # pyright: ignore[reportArgumentType]
    y_true, y_pred = some(4)
    by_group = tg.metrics.ByGroup(bias, by="group", num_groups=2)
    for bad in (jnp.zeros(4), jnp.zeros((4, 2))):
        with pytest.raises(
            tg.ContractError, match=r"bias_by_group` \(ByGroup\): `by` gives f32\[4.*integers are expected"
        ):
            by_group(y_true, y_pred, group=bad)
    with pytest.raises(tg.ContractError, match=r"`by` gives \{'a': i32\[4\]\}, and integers are expected"):
        by_group(y_true, y_pred, group={"a": jnp.zeros(4, jnp.int32)})
    with pytest.raises(tg.ContractError, match=r"`by` gives i32\[3\] for 4 examples, and a group for each"):
        by_group(y_true, y_pred, group=jnp.zeros(3, jnp.int32))
    with pytest.raises(
        tg.ContractError, match=r"f32\[4,1\] doesn't line up with.*for each that `by` gives, i32\[4,1\]"
    ):
        by_group(y_true, y_pred, group=jnp.zeros((4, 1), jnp.int32))
    with pytest.raises(tg.ContractError, match="got a `sample_weight` that is .*'a'.* and an array is expected"):
        by_group(y_true, y_pred, group=jnp.zeros(4, jnp.int32), sample_weight={"a": jnp.ones(4)})
    with pytest.raises(
        tg.InjectionError, match="(?s)`bias_by_group` .ByGroup. asks for `group`, which is not available"
    ):
        by_group(y_true, y_pred)


def test_unfit_numbers():
    with pytest.raises(ValueError, match="`n` is how often data is resampled, at least 2, and got 0"):
        tg.metrics.Bootstrap(bias, n=0)
    for bad in (1.5, (0.5, -0.1)):
        with pytest.raises(ValueError, match="`quantiles` are numbers from 0 to 1, and got"):
            tg.metrics.Bootstrap(bias, quantiles=bad)
    with pytest.raises(ValueError, match="`k` is the number of batches, at least 1, and got 0"):
        tg.metrics.Running(bias, k=0)


def test_unfit_labels():
    y_true, y_pred = some(4)
    with pytest.raises(
        tg.ContractError, match=r"`Classwise` splits a value that is a vector, and that of `bias` is a scalar"
    ):
        tg.metrics.Classwise(bias)(y_true, y_pred)
    with pytest.raises(ValueError, match="`labels` has 'a' twice"):
        tg.metrics.Classwise(bias, labels=["a", "b", "a"])
    recall = tg.metrics.Classwise(tg.metrics.Recall(thresholds=[0.2, 0.6]), labels=["a", "b", "c"])
    with pytest.raises(
        tg.ContractError, match=r"`labels` has 3 names, and the metric value f32\[2\] of `recall` has 2 elements"
    ):
        recall(jnp.array([1, 0]), jnp.array([0.4, 0.6]))
