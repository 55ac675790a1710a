"""What losses and metrics of rankings compute, query by query, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np

Query = Callable[[Any, Any, Any], float]


def of_queries(value: Query) -> Callable[..., Any]:
    """A value for each query, of its relevances and scores: those that are there."""

    def values(it: Any, y: Any, p: Any) -> Any:
        return [value(it, r[r >= 0], s[r >= 0]) for r, s in zip(y, p, strict=True)]

    return values


def in_order(value: Callable[[Any], float]) -> Callable[..., Any]:
    """A value for each query, of its relevances from the highest score on."""
    return of_queries(lambda it, r, s: value(r[np.argsort(-s, kind="stable")]))


def of_those_with(some: Callable[[Any], bool], value: Query) -> Callable[..., Any]:
    """The mean of the queries whose relevances are so."""

    def values(it: Any, y: Any, p: Any) -> Any:
        found = [(r[r >= 0], s[r >= 0]) for r, s in zip(y, p, strict=True)]
        return np.mean([value(it, r, s) for r, s in found if some(r)])

    return values


def gained(r: Any) -> float:
    discounts = 1 / np.log2(np.arange(len(r)) + 2)
    best = (np.sort(r)[::-1] * discounts).sum()
    return (r * discounts).sum() / best if best else 0.0


def precision_at_hits(r: Any) -> float:
    hits = np.flatnonzero(r > 0)
    return float(np.mean((np.arange(len(hits)) + 1) / (hits + 1))) if len(hits) else 0.0


def won_pairs(r: Any) -> float:
    won = [i < j for i in np.flatnonzero(r > 0) for j in np.flatnonzero(r <= 0)]
    return float(np.mean(won)) if won else 0.0


def better(r: Any) -> list[tuple[int, int]]:
    return [(i, j) for i in range(len(r)) for j in range(len(r)) if r[i] > r[j]]


def logistic(lead: float) -> float:
    return float(np.logaddexp(0, -lead))


def gain(it: Any, r: Any) -> Any:
    return r if it.gain == "linear" else 2.0**r - 1


def lambda_rank(it: Any, r: Any, s: Any) -> float:
    k = it.k or len(r)
    g, places = gain(it, r), np.arange(len(r))
    by_place = np.where(places < k, 1 / np.log2(places + 2), 0)
    ranks = np.argsort(np.argsort(-s, kind="stable"))
    best = (np.sort(g)[::-1] * by_place).sum()
    d = by_place[ranks]
    return sum(abs((g[i] - g[j]) * (d[i] - d[j])) / best * logistic(s[i] - s[j]) for i, j in better(r))


def approx_ndcg(it: Any, r: Any, s: Any) -> float:
    t, n = float(it.temperature), len(r)
    ranks = [1 + sum(np.exp(-np.logaddexp(0, (s[i] - s[j]) / t)) for j in range(n) if j != i) for i in range(n)]
    g = gain(it, r)
    best = (np.sort(g)[::-1] / np.log2(np.arange(n) + 2)).sum()
    return 1 - sum(g[i] / np.log2(1 + ranks[i]) for i in range(n)) / best


def log_softmax(s: Any) -> Any:
    s = s - s.max()
    return s - np.log(np.exp(s).sum())


def list_net(it: Any, y: Any, p: Any) -> Any:
    """Without relevant documents, a query has no shares of them."""

    def value(it: Any, r: Any, s: Any) -> float:
        wanted = r / r.sum() if it.target == "share" else np.exp(log_softmax(r))
        return -(wanted * log_softmax(s)).sum()

    return of_those_with(lambda r: r.any() if it.target == "share" else len(r) > 0, value)(it, y, p)


def of_choices(value: Callable[[float, Any], float]) -> Callable[..., Any]:
    return lambda it, y, p: [value(one, several) for one, several in zip(p[0], p[1], strict=True)]


def bpr(one: float, several: Any) -> float:
    return float(np.mean([logistic(one - n) for n in several]))


def sampled_softmax(one: float, several: Any) -> float:
    return float(np.logaddexp.reduce([0.0, *(several - one)]))


def pairs(of_one: Callable[[Any, float], float]) -> Callable[..., Any]:
    """The mean over the pairs of each query, and over the queries that have any."""

    def value(it: Any, r: Any, s: Any) -> float:
        return float(np.mean([of_one(it, s[i] - s[j]) for i, j in better(r)]))

    return of_those_with(lambda r: bool(better(r)), value)


VALUES: dict[str, Callable[..., Any]] = {
    "ApproxNDCG": of_those_with(lambda r: r.any(), approx_ndcg),
    "BPR": of_choices(bpr),
    "FallOut": in_order(lambda r: float((r <= 0).any())),
    "HitRate": in_order(lambda r: float((r > 0).any())),
    "LambdaRank": of_those_with(lambda r: bool(better(r)), lambda_rank),
    "ListNet": list_net,
    "MeanAveragePrecision": in_order(precision_at_hits),
    "MeanReciprocalRank": in_order(lambda r: 1 / (np.flatnonzero(r > 0)[0] + 1) if (r > 0).any() else 0.0),
    "NDCG": in_order(gained),
    "PairwiseHinge": pairs(lambda it, lead: max(float(it.margin) - lead, 0)),
    "PairwiseLogistic": pairs(lambda it, lead: logistic(lead)),
    "PrecisionAtK": in_order(lambda r: float((r > 0).mean()) if len(r) else 0.0),
    "QueryAUC": in_order(won_pairs),
    "RPrecision": in_order(lambda r: float(np.mean((r > 0)[: (r > 0).sum()])) if (r > 0).any() else 0.0),
    "RecallAtK": in_order(lambda r: float((r > 0).any())),
    "SampledSoftmax": of_choices(sampled_softmax),
}
