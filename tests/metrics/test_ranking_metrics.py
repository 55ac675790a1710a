"""Metrics of rankings against scikit-learn, and against what their definitions say, query by query."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

import treegy as tg
from helpers import mostly_slow

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
QUERIES, DOCUMENTS = 40, 7
SCORES = RNG.normal(size=(QUERIES, DOCUMENTS)).astype("float32")
GRADES = RNG.integers(0, 4, (QUERIES, DOCUMENTS)).astype("int32")
BINARY = RNG.integers(0, 2, (QUERIES, DOCUMENTS)).astype("int32")
# Few scores, so that many are equal.
TIED = RNG.integers(0, 3, (QUERIES, DOCUMENTS)).astype("float32")
KS = [None, 1, 3, 10]


def value(metric: tg.Metric, relevance: Any, scores: Any) -> float:
    return float(metric(jnp.asarray(relevance), jnp.asarray(scores)))


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("scores", [SCORES, TIED], ids=["distinct", "tied"])
@pytest.mark.parametrize("ignore_ties", [False, True])
def test_ndcg(k: int | None, scores: np.ndarray, ignore_ties: bool):
    # scikit-learn takes equal ones in any order then.
    told = scores - 1e-3 * np.arange(DOCUMENTS) if ignore_ties else scores
    found = value(tg.metrics.NDCG(k=k, ignore_ties=ignore_ties), GRADES, scores)
    assert abs(found - ndcg_score(GRADES, told, k=k)) < 1e-6


@pytest.mark.parametrize("k", KS)
def test_exponential_gain(k: int | None):
    expected = ndcg_score(2.0**GRADES - 1, SCORES, k=k)
    assert abs(value(tg.metrics.NDCG(k=k, gain="exponential"), GRADES, SCORES) - expected) < 1e-6


def of_queries(reference: Callable[[Any, Any], float], keep: Callable[[Any], Any]) -> float:
    return float(np.mean([reference(y, p) if keep(y) else 0.0 for y, p in zip(BINARY, SCORES, strict=True)]))


def test_without_k_against_scikit_learn():
    precision = of_queries(average_precision_score, lambda y: y.any())
    assert abs(value(tg.metrics.MeanAveragePrecision(), BINARY, SCORES) - precision) < 1e-6
    area = of_queries(roc_auc_score, lambda y: 0 < y.sum() < len(y))
    assert abs(value(tg.metrics.QueryAUC(), BINARY, SCORES) - area) < 1e-6


def in_order(y: Any, p: Any, k: int | None) -> tuple[list[int], list[int]]:
    """The relevances from the highest score on, all of them and the first `k`."""
    order = sorted(range(len(y)), key=lambda i: -p[i])
    found = [int(y[i]) for i in order]
    return found, found[:k]


def reciprocal_rank(found: list[int], first: list[int], k: int | None) -> float:
    return next((1 / (i + 1) for i, r in enumerate(first) if r), 0.0)


def average_precision(found: list[int], first: list[int], k: int | None) -> float:
    total = sum(sum(first[: i + 1]) / (i + 1) for i, r in enumerate(first) if r)
    return total / min(sum(found), k or len(found)) if sum(found) else 0.0


def r_precision(found: list[int], first: list[int], k: int | None) -> float:
    r = min(sum(found), k or len(found))
    return sum(found[:r]) / r if r else 0.0


def fall_out(found: list[int], first: list[int], k: int | None) -> float:
    wrong = len(found) - sum(found)
    return (len(first) - sum(first)) / wrong if wrong else 0.0


def recall(found: list[int], first: list[int], k: int | None) -> float:
    return sum(first) / sum(found) if sum(found) else 0.0


BY_HAND: dict[str, Callable[[list[int], list[int], int | None], float]] = {
    "MeanReciprocalRank": reciprocal_rank,
    "MeanAveragePrecision": average_precision,
    "HitRate": lambda found, first, k: float(any(first)),
    "PrecisionAtK": lambda found, first, k: sum(first) / (k or len(found)),
    "RecallAtK": recall,
    "RPrecision": r_precision,
    "FallOut": fall_out,
}


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("name", BY_HAND)
def test_as_defined(name: str, k: int | None):
    relevance = BINARY.copy()
    relevance[:2] = [[0], [1]]  # none and all are relevant
    each = [(*in_order(y, p, k), k) for y, p in zip(relevance, SCORES, strict=True)]
    expected = np.mean([BY_HAND[name](*one) for one in each])
    assert abs(value(getattr(tg.metrics, name)(k=k), relevance, SCORES) - expected) < 1e-6


@pytest.mark.parametrize("name", ["NDCG", "QueryAUC", *BY_HAND])
@pytest.mark.parametrize("k", [None, 2])
def test_lists_of_unequal_length_are_padded(name: str, k: int | None):
    """What isn't there changes nothing, whatever its score is."""
    metric = getattr(tg.metrics, name)(k=k)
    relevance = np.concatenate([BINARY, np.full((QUERIES, 2), -1)], axis=1)
    ends = np.tile([np.inf, -np.inf], (QUERIES, 1))
    padded = value(metric, relevance, np.concatenate([SCORES, ends], axis=1).astype("float32"))
    assert abs(padded - value(metric, BINARY, SCORES)) < 1e-6


@pytest.mark.parametrize("name", mostly_slow(["NDCG", "QueryAUC", *BY_HAND]))
def test_queries_without_relevant_documents(name: str):
    relevance, scores = np.concatenate([BINARY[5:8], np.zeros((3, DOCUMENTS), "int32")]), SCORES[:6]
    skipping = value(getattr(tg.metrics, name)(skip_empty=True), relevance, scores)
    assert abs(skipping - value(getattr(tg.metrics, name)(), relevance[:3], scores[:3])) < 1e-6


@pytest.mark.slow
def test_lists_of_lists():
    """Several lists for an example: a value for each."""
    metric = tg.metrics.NDCG()
    several = value(metric, GRADES.reshape(20, 2, -1), SCORES.reshape(20, 2, -1))
    assert abs(several - value(metric, GRADES, SCORES)) < 1e-6


def test_mistakes():
    with pytest.raises(tg.ContractError, match="must be a relevance and a score for each document"):
        tg.metrics.NDCG()(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(tg.ContractError, match="must be a relevance and a score"):
        tg.metrics.HitRate(k=1)(jnp.zeros((3, 2)), jnp.zeros((3, 4)))
    with pytest.raises(ValueError, match="`k` is how many documents are looked at, at least 1, and got 0"):
        tg.metrics.RecallAtK(k=0)
    with pytest.raises(ValueError, match="`gain` is"):
        tg.metrics.NDCG(gain="log")
