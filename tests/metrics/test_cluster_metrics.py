"""Metrics of partitions against scikit-learn and SciPy, over several batches, by one program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sklearn

import treegy as tg
from treegy.metrics._clusters._contingency import OfContingency

pytestmark = pytest.mark.once

N, CLASSES, CLUSTERS = 240, 4, 6


def best_names(y: Any, p: Any) -> float:
    table = np.array([[np.sum((y == i) & (p == j)) for j in range(CLUSTERS)] for i in range(CLASSES)])
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / max(len(y), 1))


# The class, its options, and the reference with the same ones.
TABLE: list[tuple[str, dict[str, Any], Any]] = [
    ("RandScore", {}, sklearn.rand_score),
    ("AdjustedRandScore", {}, sklearn.adjusted_rand_score),
    ("FowlkesMallows", {}, sklearn.fowlkes_mallows_score),
    ("MutualInformation", {}, sklearn.mutual_info_score),
    ("Homogeneity", {}, sklearn.homogeneity_score),
    ("Completeness", {}, sklearn.completeness_score),
    ("VMeasure", {"beta": 0.5}, lambda y, p: sklearn.v_measure_score(y, p, beta=0.5)),
    ("ClusterAccuracy", {}, best_names),
    *(
        (name, {"average": average}, lambda y, p, a=average, f=reference: f(y, p, average_method=a))
        for name, reference in (
            ("NormalizedMutualInformation", sklearn.normalized_mutual_info_score),
            ("AdjustedMutualInformation", sklearn.adjusted_mutual_info_score),
        )
        for average in ("arithmetic", "geometric", "min", "max")
    ),
]
METRICS = [getattr(tg.metrics, name)(CLASSES, CLUSTERS, **options) for name, options, _ in TABLE]


@jax.jit
def of_batches(y: Any, p: Any, weight: Any) -> list[jax.Array]:
    """The values of three batches merged, all by one program."""
    cuts = [slice(0, 1), slice(1, 150), slice(150, N)]
    found: list[jax.Array] = []
    for metric in METRICS:
        first, *others = [metric(y[at], p[at], sample_weight=weight[at]) for at in cuts]
        for other in others:
            first = first.merge(other)
        found.append(first.compute())
    return found


def partitions(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes and clusters of up to N examples."""
    rng = np.random.default_rng(0)
    y, noise = rng.integers(0, CLASSES, N), rng.integers(0, CLUSTERS, N)
    one = np.zeros(N, int)
    return {
        "alike": (y, np.where(rng.random(N) < 0.2, noise, CLUSTERS - 1 - y)),
        "by chance": (y, noise),
        "the same": (y, (y + 2) % CLUSTERS),
        "one class": (one, noise),
        "one cluster": (y, one),
        "one of each": (one, one),
        "lopsided": (np.where(np.arange(N) < 3, y, 0), np.where(np.arange(N) < 9, noise, 1)),
        "four examples": (y[:4], noise[:4]),
        "all apart": (np.arange(4), np.arange(4)),
        "one example": (y[:1], noise[:1]),
        "none": (y[:0], noise[:0]),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "alike",
        "by chance",
        "the same",
        "one class",
        "one cluster",
        "one of each",
        "lopsided",
        "four examples",
        "all apart",
        "one example",
        "none",
    ],
)
def test_equal_scikit_learn(kind: str):
    y, p = partitions(kind)
    lacking = (0, N - len(y))
    weight = np.pad(np.ones(len(y), "float32"), lacking)
    found = of_batches(np.pad(y, lacking), np.pad(p, lacking, constant_values=-9), weight)
    for (name, options, reference), value in zip(TABLE, found, strict=True):
        # scikit-learn fails where there is nothing.
        wanted = 0 if kind == "none" and name == "MutualInformation" else reference(y, p)
        np.testing.assert_allclose(value, wanted, atol=3e-6, err_msg=f"{name} {options}")


def test_a_weight_says_how_often():
    y, p = partitions("alike")
    often = np.random.default_rng(1).integers(0, 4, N)
    found = of_batches(y, p, often.astype("float32"))
    for (name, _, reference), value in zip(TABLE, found, strict=True):
        np.testing.assert_allclose(value, reference(np.repeat(y, often), np.repeat(p, often)), atol=3e-6, err_msg=name)


def test_many_examples():
    """Sums of squares of counts would overflow integers of 32 bits, and logarithms of factorials lose everything."""
    rng = np.random.default_rng(0)
    y, noise = rng.integers(0, CLASSES, N), rng.integers(0, CLUSTERS, N)
    often = 1_000
    found = of_batches(y, noise, np.full(N, often, "float32"))
    for (name, _, reference), value in zip(TABLE, found, strict=True):
        wanted = reference(np.repeat(y, often), np.repeat(noise, often))
        np.testing.assert_allclose(value, wanted, atol=3e-6, err_msg=name)


def test_scores_of_clusters_are_taken_by_the_largest():
    y, p = partitions("alike")
    scores = np.eye(CLUSTERS, dtype="float32")[p]
    table, other = METRICS[0](y, scores), METRICS[0](y, p)
    np.testing.assert_array_equal(table.part.compute(), other.part.compute())


def test_one_table_is_carried():
    y, p = jnp.zeros(4, jnp.int32), jnp.ones(4, jnp.int32)
    model = tg.Model(lambda x: x, metrics=METRICS, trainable=False).init(p, y)
    assert sum(a.size for a in jax.tree.leaves(model.states.metrics_states)) == 2 * CLASSES * CLUSTERS + 1
    names = {cls.__name__ for cls in OfContingency.__subclasses__()}
    assert names == {name for name, _, _ in TABLE}


def test_what_is_out_of_range_shows_unless_it_is_left_out():
    y, p = jnp.array([0, 1, -1, 1]), jnp.array([0, 1, 1, 9])
    classes = [getattr(tg.metrics, name) for name in sorted({name for name, _, _ in TABLE})]
    shown, left_out, without = jax.jit(
        lambda y, p: (
            [cls(2)(y, p).compute() for cls in classes],
            [cls(2, check_bounds=False)(y, p).compute() for cls in classes],
            [cls(2)(y[:2], p[:2]).compute() for cls in classes],
        )
    )(y, p)
    assert np.all(np.isnan(shown)) and left_out == without
    assert np.isnan(float(tg.metrics.RandScore(2, 10)(y, p)))
    assert float(tg.metrics.RandScore(2, 10, ignore_class=-1)(y, p)) == pytest.approx(2 / 3)


def test_mistakes():
    y = jnp.zeros(3, jnp.int32)
    with pytest.raises(
        tg.ContractError, match=r"must hold a score of each of 4 clusters for `y_true` i32\[3\].*\(3, 4\)"
    ):
        tg.metrics.RandScore(2, 4)(y, jnp.zeros((3, 2)))
    with pytest.raises(tg.ContractError, match="`y_true` .* must hold class indices"):
        tg.metrics.RandScore(2)(jnp.zeros(3), y)
    with pytest.raises(tg.ContractError, match="must have the same shape"):
        tg.metrics.RandScore(2)(y, y[:, None])
    with pytest.raises(ValueError, match="`beta` is a positive number, and got 0"):
        tg.metrics.VMeasure(2, beta=0)
    with pytest.raises(TypeError, match="`beta` is a positive number, and got 'one'"):
        tg.metrics.VMeasure(2, beta="one")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="`average` is one of 'arithmetic', 'geometric', 'min' and 'max'"):
        tg.metrics.NormalizedMutualInformation(2, average="mean")  # pyright: ignore[reportArgumentType]
