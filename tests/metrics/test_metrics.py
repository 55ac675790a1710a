"""Metrics against scikit-learn, Keras 3 and Elegy's published numbers, over several batches."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg

pytestmark = pytest.mark.once


def figure(metric: tg.Metric, *batches: dict[str, Any]) -> Any:
    """The value over all batches."""
    first, *others = [metric(**batch) for batch in batches]
    for other in others:
        first = first.merge(other)
    return first.compute()


def batch(y_true: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
    return {"y_true": y_true, "y_pred": y_pred, "sample_weight": sample_weight}


# Elegy 0.7, docstrings and tests

SCORES = jnp.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]])
ONES = jnp.array([1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "metric, first, second, expected",
    [
        (tg.metrics.Accuracy(), ([1, 1, 1, 1], [0, 1, 1, 1]), ([1, 1, 1, 1], [1, 0, 0, 0]), (0.75, 0.5)),
        (tg.metrics.SparseCategoricalAccuracy(), ([2, 1], SCORES), ([1, 1], SCORES), (0.5, 0.75)),
        (tg.metrics.Accuracy(), ([2, 1], SCORES), ([1, 1], SCORES), (0.5, 0.75)),
        (
            tg.metrics.CategoricalAccuracy(),
            ([[0, 0, 1], [0, 1, 0]], SCORES),
            ([[0, 1, 0], [0, 1, 0]], SCORES),
            (0.5, 0.75),
        ),
        (tg.metrics.MeanSquaredError(), (ONES, [0, 1, 1, 1]), (ONES, [1, 0, 0, 0]), (0.25, 0.5)),
        (tg.metrics.MeanAbsoluteError(), (ONES, [0, 1, 1, 1]), (ONES, [1, 0, 0, 0]), (0.25, 0.5)),
        (tg.metrics.Precision(), ([0, 1, 1, 1], [1, 0, 1, 1]), ([1, 1, 1, 1], [1, 1, 0, 0]), (2 / 3, 0.8)),
        (tg.metrics.Recall(), ([0, 1, 1, 1], [1, 0, 1, 1]), ([1, 1, 1, 1], [1, 0, 0, 0]), (2 / 3, 3 / 7)),
    ],
)
def test_elegys_numbers(metric: tg.Metric, first: Any, second: Any, expected: tuple[float, float]):
    batches = [batch(jnp.asarray(y_true), jnp.asarray(y_pred)) for y_true, y_pred in (first, second)]
    np.testing.assert_allclose(figure(metric, batches[0]), expected[0], rtol=1e-6)
    np.testing.assert_allclose(figure(metric, *batches), expected[1], rtol=1e-6)


def test_elegys_binary_accuracy():
    y_true, y_pred = jnp.array([[1], [1], [0], [0]]), jnp.array([[0.98], [1.0], [0.0], [0.6]])
    assert figure(tg.metrics.BinaryAccuracy(), batch(y_true, y_pred)) == 0.75
    assert figure(tg.metrics.BinaryAccuracy(), batch(y_true, y_pred, jnp.array([1, 0, 0, 1]))) == 0.5


def test_elegys_mean_and_sum():
    values, weight = jnp.array([1.0, 3.0, 5.0, 7.0]), jnp.array([1, 1, 0, 0])
    mean, total = tg.metrics.Mean(), tg.metrics.Sum()
    assert figure(mean, {"y_pred": values}) == 4
    assert figure(mean, {"y_pred": values}, {"y_pred": jnp.array([4.0, 10.0])}) == 5
    assert figure(mean, {"y_pred": values, "sample_weight": weight}) == 2
    assert figure(total, {"y_pred": values}) == 16
    assert figure(total, {"y_pred": values, "sample_weight": weight}) == 4


# Keras 3 and scikit-learn


def examples(kind: str, n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    if kind == "binary":
        # Some predictions lie exactly on a threshold.
        return rng.integers(0, 2, (n, 3)), rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], (n, 3)).astype("float32")
    if kind == "numbers":
        return rng.normal(size=(n, 3)).astype("float32"), rng.normal(size=(n, 3)).astype("float32")
    labels, scores = rng.integers(0, 4, n), rng.normal(size=(n, 4)).astype("float32")
    return (labels if kind == "indices" else np.eye(4, dtype="float32")[labels]), scores


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("BinaryAccuracy", "binary", {}),
        ("BinaryAccuracy", "binary", {"threshold": 0.25}),
        ("CategoricalAccuracy", "one-hot", {}),
        ("SparseCategoricalAccuracy", "indices", {}),
        ("MeanSquaredError", "numbers", {}),
        ("MeanAbsoluteError", "numbers", {}),
        ("Precision", "binary", {}),
        ("Precision", "binary", {"thresholds": 0.25, "class_id": 1}),
        ("Precision", "binary", {"thresholds": [0.0, 0.25, 0.5, 1.0]}),
        ("Recall", "binary", {}),
        ("Recall", "binary", {"thresholds": 0.25, "class_id": 1}),
        ("Recall", "binary", {"thresholds": [0.0, 0.25, 0.5, 1.0]}),
    ],
)
def test_equals_keras(name: str, kind: str, options: dict[str, Any], weighted: bool, standard_promotion: Any):
    keras = pytest.importorskip("keras")
    ours = getattr(tg.metrics, name)(**options)
    batches = []
    with standard_promotion():
        theirs = getattr(keras.metrics, name)(**options)
        for seed, n in enumerate([5, 2]):
            y_true, y_pred = examples(kind, n, seed)
            weight = np.random.default_rng(seed).uniform(size=n).astype("float32") if weighted else None
            # Keras lines weights up with the last axis of flattened labels.
            wide = weight[:, None] if weight is not None and name in ("Precision", "Recall") else weight
            theirs.update_state(y_true, y_pred, sample_weight=wide)
            batches.append(batch(y_true, y_pred, weight))
        expected = np.asarray(theirs.result())
    got = figure(ours, *batches)
    assert got.dtype == jnp.float32 and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=2e-6)


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_precision_and_recall_equal_scikit_learn(weighted: bool):
    reference = pytest.importorskip("sklearn.metrics")
    y_true, y_pred = examples("binary", 7, 0)
    y_true, y_pred = y_true[:, 0], y_pred[:, 0]
    weight = np.arange(7.0, dtype="float32") if weighted else None
    for ours, theirs in ((tg.metrics.Precision, "precision_score"), (tg.metrics.Recall, "recall_score")):
        expected = getattr(reference, theirs)(y_true, y_pred > 0.5, sample_weight=weight, zero_division=0)
        cut = [
            batch(y_true[part], y_pred[part], None if weight is None else weight[part])
            for part in (slice(0, 4), slice(4, 7))
        ]
        np.testing.assert_allclose(figure(ours(), *cut), expected, rtol=1e-6)


def test_nothing_predicted_gives_zero():
    nothing = batch(jnp.array([0, 0]), jnp.array([0.1, 0.2]))
    assert figure(tg.metrics.Precision(), nothing) == 0
    assert figure(tg.metrics.Recall(), nothing) == 0
    assert jnp.array_equal(figure(tg.metrics.Recall(thresholds=[0.1, 0.5]), nothing), jnp.zeros(2))


def test_counts_of_long_epochs_are_exact():
    one = tg.metrics.Precision()(jnp.array([1, 0]), jnp.array([1.0, 1.0]))
    # 2^25 + 2 examples: a float32 that counts one by one stops at 2^24.
    many = jax.tree.map(lambda count: count * 2.0**24, one)

    def merge(_: Any, counts: Any) -> Any:
        return counts.merge(tg.metrics.Precision()(jnp.array([1, 1]), jnp.array([1.0, 1.0])))

    after = jax.jit(lambda counts: jax.lax.fori_loop(0, 1000, merge, counts))(many)
    (right,), (wrong,), *_ = np.asarray(after.part.total, "float64") + np.asarray(after.part.rest, "float64")
    assert (right, wrong) == (2**24 + 2000, 2**24)
    np.testing.assert_allclose(after.compute(), (2**24 + 2000) / (2**25 + 2000), rtol=1e-7)


def test_counts_of_thresholds_are_those_of_each():
    y_true, y_pred = examples("binary", 6, 1)
    vector = tg.metrics.Recall(thresholds=[0.3, 0.6])(y_true, y_pred)
    for i, threshold in enumerate((0.3, 0.6)):
        single = tg.metrics.Recall(thresholds=threshold)(y_true, y_pred)
        np.testing.assert_array_equal(vector.part.total[:, i], single.part.total)


# Accuracy


def test_accuracy_compares_integers_exactly():
    big = 2**24
    got = tg.metrics.accuracy(jnp.array([big, 3], jnp.int32), jnp.array([big + 1, 3], jnp.int32))
    np.testing.assert_array_equal(got, [False, True])
    np.testing.assert_array_equal(tg.metrics.accuracy(jnp.array([1, 2], jnp.uint8), jnp.array([1, 0])), [True, False])
    # 257 is 256 in bfloat16.
    assert not tg.metrics.accuracy(jnp.array([257]), jnp.array([256.0], jnp.bfloat16))[0]


def test_accuracy_along_time():
    y_true, y_pred = jnp.array([[1, 0], [1, 1]]), jnp.zeros((2, 2, 3)).at[..., 1].set(1)
    np.testing.assert_array_equal(tg.metrics.accuracy(y_true, y_pred), [[True, False], [True, True]])
    assert figure(tg.metrics.Accuracy(), batch(y_true, y_pred, jnp.array([1.0, 3.0]))) == (0.5 + 3) / 4


def test_labels_that_are_no_class_are_never_right():
    assert not jnp.any(tg.metrics.sparse_categorical_accuracy(jnp.array([-1, 3]), SCORES))


# What a mean or sum is of


def test_of_a_name_or_a_function():
    values = {"x": jnp.array([1.0, 2.0]), "y_true": jnp.array([1.0, 2.0]), "y_pred": jnp.array([2.0, 6.0])}
    weight = jnp.array([3.0, 1.0])
    assert figure(tg.metrics.Mean(of="x"), {**values}) == 1.5
    assert figure(tg.metrics.Mean(of="y_true"), {**values, "sample_weight": weight}) == 1.25
    bias = lambda y_pred, y_true: y_pred - y_true  # noqa: E731
    assert figure(tg.metrics.Mean(of=bias), {**values}) == 2.5
    assert figure(tg.metrics.Mean(of=bias), {**values, "sample_weight": weight}) == 7 / 4
    assert figure(tg.metrics.Sum(of=bias), {**values}) == 5
    assert figure(tg.metrics.Sum(of=bias), {**values, "sample_weight": weight}) == 7
    assert figure(tg.metrics.Sum(of="sample_weight"), {**values, "sample_weight": weight}) == 4
    masked = lambda y_pred: tg.Masked(y_pred, y_pred < 3)  # noqa: E731
    assert figure(tg.metrics.Mean(of=masked), {**values}) == 2
    assert figure(tg.metrics.Sum(of=masked), {**values, "sample_weight": weight}) == 6


def test_a_sum_of_several_parts():
    parts = tg.metrics.Sum(of=lambda y_pred: {"a": y_pred, "b": 2 * y_pred})(jnp.array([1.0, 2.0]))
    assert {k: float(v) for k, v in parts.items()} == {"a": 3, "b": 6}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32"])
@pytest.mark.parametrize("size", [2, 7000])
def test_sums_of_integers_are_exact(dtype: str, size: int):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, size, dtype, endpoint=True)
    values[:2] = limits.max, limits.min
    total = tg.metrics.Sum()(jnp.asarray(values))
    exact = sum(map(int, values))
    assert int(np.float64(total.total)) + int(np.float64(total.rest)) == exact
    assert float(tg.metrics.Sum(of="y_true")(y_true=jnp.array([16777217, 1]))) == 16777218
    masked = tg.metrics.Sum(of=lambda y_true: tg.Masked(y_true, y_true > 3))
    assert float(masked(y_true=jnp.array([16777217, 1, 5]))) == 16777222


def test_the_contract_of_the_function_is_checked():
    from jaxtyping import Array, Float

    def wide(y_pred: Float[Array, "batch 3"]) -> Float[Array, "batch"]:
        return y_pred[:, 0]

    for cls in (tg.metrics.Mean, tg.metrics.Sum):
        assert float(cls(of=wide)(jnp.ones((2, 3)))) == (1 if cls is tg.metrics.Mean else 2)
        with pytest.raises(tg.ContractError, match=r"got a `y_pred`"):
            cls(of=wide)(jnp.ones((2, 4)))


def test_a_mean_of_parameters_is_of_the_batch():
    norm = tg.metrics.Mean(of=lambda parameters: jnp.sum(parameters["w"]))
    assert float(norm(parameters={"w": jnp.ones(3)}, sample_weight=jnp.zeros(2))) == 3
    with pytest.raises(ValueError, match="`of` asks for parameters, and a sum over examples needs one of x"):
        tg.metrics.Sum(of=lambda parameters: jnp.sum(parameters["w"]))


def test_what_a_mean_or_sum_cannot_be_of():
    classes: list[Any] = [tg.metrics.Mean, tg.metrics.Sum]
    for cls in classes:
        with pytest.raises(tg.InjectionError, match=r"metric `\w+` \(.*\) asks for `y_prd`"):
            # Sum looks at the names that it knows only.
            cls(of=lambda y_prd, x=None: y_prd)(y_pred=jnp.ones(2))
        with pytest.raises(TypeError, match="of"):
            cls(of=3)
    with pytest.raises(tg.InjectionError, match="(?s)asks for `y_prd`.*Did you mean `y_pred`"):
        tg.metrics.Mean(of="y_prd")(y_pred=jnp.ones(2))
    with pytest.raises(tg.ContractError, match="returned"):
        tg.metrics.Sum(of=lambda y_pred: (y_pred, y_pred))(jnp.ones(2))


def test_a_part_of_the_predictions():
    y_pred = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0, 4.0])}
    assert float(tg.metrics.Mean(on="b")(y_pred)) == 3.5
    assert float(tg.metrics.Sum(on="b")(y_pred)) == 7
    with pytest.raises(tg.ContractError, match="returned a scalar where `sample_weight`"):
        tg.metrics.Mean(of=lambda y_pred: jnp.sum(y_pred))(jnp.ones(2), sample_weight=jnp.ones(2))


# Errors


@pytest.mark.parametrize(
    "name", ["Accuracy", "BinaryAccuracy", "MeanSquaredError", "MeanAbsoluteError", "Precision", "Recall"]
)
def test_nothing_is_broadcast(name: str):
    metric = getattr(tg.metrics, name)()
    with pytest.raises(tg.ContractError, match=r"`y_true` i32\[4\] and `y_pred` f32\[4,1\] must have the same shape"):
        metric(jnp.zeros(4, jnp.int32), jnp.zeros((4, 1)))
    with pytest.raises(tg.ContractError, match=rf"{name}.*f32\[4,1\] and `y_pred` f32\[4\].*did the module forget"):
        metric(jnp.zeros((4, 1)), jnp.zeros(4))


def test_unfit_classes():
    with pytest.raises(tg.ContractError, match=r"SparseCategoricalAccuracy.*Pass `y_true\[\.\.\., 0\]`"):
        tg.metrics.SparseCategoricalAccuracy()(jnp.zeros((2, 1), jnp.int32), SCORES)
    with pytest.raises(tg.ContractError, match=r"f32\[2\].*integer dtype"):
        tg.metrics.SparseCategoricalAccuracy()(jnp.zeros(2), SCORES)
    with pytest.raises(tg.ContractError, match=r"i32\[2\] and `y_pred` f32\[2,3\].*sparse categorical"):
        tg.metrics.CategoricalAccuracy()(jnp.zeros(2, jnp.int32), SCORES)
    with pytest.raises(tg.ContractError, match=r"has no axis of classes"):
        tg.metrics.CategoricalAccuracy()(jnp.zeros(2), jnp.zeros(2))
    for y_true, y_pred in ((jnp.zeros(2), jnp.zeros(2)), (jnp.zeros((2, 3)), jnp.zeros((2, 3)))):
        with pytest.raises(tg.ContractError, match=r"has no class 3 along its last axis"):
            tg.metrics.Precision(class_id=3)(y_true, y_pred)


def test_weights_that_do_not_line_up():
    with pytest.raises(tg.ContractError, match=r"Precision.*`sample_weight` f32\[2,2\] doesn't line up"):
        tg.metrics.Precision()(jnp.zeros((2, 3)), jnp.zeros((2, 3)), sample_weight=jnp.ones((2, 2)))
    with pytest.raises(tg.ContractError, match=r"Axis `batch` of `sample_weight` is 3, and 2 from y_true"):
        tg.metrics.Precision()(jnp.zeros((2, 3)), jnp.zeros((2, 3)), sample_weight=jnp.ones(3))


@pytest.mark.parametrize("cls", [tg.metrics.Precision, tg.metrics.Recall])
def test_thresholds_are_from_0_to_1(cls: Any):
    for bad in (-0.1, 1.5, [0.5, 2.0]):
        with pytest.raises(ValueError, match="`thresholds` is a number from 0 to 1, or a list of them, and got"):
            cls(thresholds=bad)
    with pytest.raises(ValueError, match="`thresholds` is empty"):
        cls(thresholds=[])
    with pytest.raises(ValueError, match="`class_id` is an index"):
        cls(class_id=-1)


def test_thresholds_can_be_traced():
    y_true, y_pred = jnp.array([1, 1, 0]), jnp.array([0.4, 0.8, 0.6])
    got = eqx.filter_vmap(lambda t: tg.metrics.Recall(thresholds=t)(y_true, y_pred).compute())(jnp.array([0.3, 0.5]))
    np.testing.assert_allclose(got, [1, 0.5])
    got = jax.jit(lambda t: tg.metrics.BinaryAccuracy(threshold=t)(y_true, y_pred).compute())(0.7)
    np.testing.assert_allclose(got, 2 / 3, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"k": 1}])
def test_padding_counts_in_no_accuracy(options):
    cls = tg.metrics.SparseTopKCategoricalAccuracy if options else tg.metrics.SparseCategoricalAccuracy
    rng = np.random.default_rng(0)
    y_pred = rng.normal(size=(6, 5, 3)).astype("float32")
    y_true = rng.integers(0, 3, (6, 5)).astype("int32")
    y_true[rng.random((6, 5)) < 0.4] = -1
    weight = rng.uniform(size=6).astype("float32")
    there, right = y_true != -1, y_pred.argmax(-1) == y_true
    weights = there * weight[:, None]
    metric = cls(ignore_class=-1, **options)
    np.testing.assert_allclose(float(metric(y_true, y_pred)), right[there].mean(), rtol=1e-6)
    weighted = metric(y_true, y_pred, sample_weight=weight)
    np.testing.assert_allclose(float(weighted), (right * weights).sum() / weights.sum(), rtol=1e-6)
    parts = metric(y_true[:2], y_pred[:2]).merge(metric(y_true[2:], y_pred[2:]))
    np.testing.assert_allclose(float(parts), right[there].mean(), rtol=1e-6)
