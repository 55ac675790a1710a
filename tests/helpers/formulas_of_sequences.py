"""What metrics and losses of sequences of ids compute, sequence by sequence, in plain Python and NumPy float64."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def there(ids: Any) -> list[int]:
    return [int(i) for i in ids if i >= 0]


def edits(a: Sequence[int], b: Sequence[int]) -> int:
    """The Levenshtein distance by its recurrence, cell by cell."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i in range(len(a) + 1):
        for j in range(len(b) + 1):
            if i == 0 or j == 0:
                table[i, j] = i + j
            else:
                swapped = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
                table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, swapped)
    return int(table[-1, -1])


def pairs(y: Any, p: Any) -> list[tuple[list[int], list[int]]]:
    return [(there(a), there(b)) for a, b in zip(y, p, strict=True)]


def error_rate(length: Callable[[list[int], list[int]], int]) -> Callable[..., float]:
    def figure(it: Any, y: Any, p: Any) -> float:
        both = pairs(y, p)
        of = sum(length(a, b) for a, b in both)
        return sum(edits(a, b) for a, b in both) / of if of else 0.0

    return figure


def grams(ids: Sequence[int], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))


def counts(y: Any, p: Any, n: int) -> Any:
    """Matches, predicted and right n-grams of each order, `(3, n)`."""
    found = np.zeros((3, n))
    for a, b in pairs(y, p):
        for k in range(n):
            right, predicted = grams(a, k + 1), grams(b, k + 1)
            found[:, k] += (right & predicted).total(), predicted.total(), right.total()
    return found


def bleu(it: Any, y: Any, p: Any) -> float:
    matches, predicted, right = counts(y, p, it.n)
    if it.smoothing == "add-one":
        matches, predicted = matches + (np.arange(it.n) > 0), predicted + (np.arange(it.n) > 0)
    if it.smoothing == "exponential":
        nothing = 0
        for k in range(it.n):
            if matches[k] == 0:
                nothing += 1
                matches[k] = 0.5**nothing
    if not matches.all() or not predicted.all():
        return 0.0
    penalty = min(1 - right[0] / predicted[0], 0)
    return float(np.exp(penalty + np.log(matches / predicted).mean()))


def chrf(it: Any, y: Any, p: Any) -> float:
    each = np.array([counts([a], [b], it.n) for a, b in zip(y, p, strict=True)])
    each[:, 1] *= each[:, 2] > 0
    matches, predicted, right = each.sum(0)
    some = (predicted > 0) & (right > 0)
    if not matches[some].any():
        return 0.0
    precision, recall = (matches[some] / predicted[some]).mean(), (matches[some] / right[some]).mean()
    return (1 + it.beta**2) * precision * recall / (it.beta**2 * precision + recall)


def spans(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The kind, first and last place of each span, tag by tag."""
    found, begin, kind = set[tuple[str, int, int]](), 0, ""
    for place, tag in enumerate([*tags, "O"]):
        goes_on = kind != "" and tag == f"I-{kind}"
        if not goes_on:
            if kind:
                found.add((kind, begin, place - 1))
            begin, kind = place, tag[2:]
    return found


def span_counts(it: Any, y: Any, p: Any) -> tuple[int, int, int]:
    right = predicted = true = 0
    for a, b in zip(y, p, strict=True):
        at = [i for i in range(len(a)) if a[i] >= 0]
        meant, told = (spans([it.tags[ids[i]] for i in at]) for ids in (a, b))
        right, predicted, true = right + len(meant & told), predicted + len(told), true + len(meant)
    return right, predicted, true


def span_f1(it: Any, y: Any, p: Any) -> float:
    right, predicted, true = span_counts(it, y, p)
    return 2 * right / (predicted + true) if predicted + true else 0.0


def span_share(of: int) -> Callable[..., float]:
    def figure(it: Any, y: Any, p: Any) -> float:
        found = span_counts(it, y, p)
        return found[0] / found[of] if found[of] else 0.0

    return figure


def log_softmax(z: Any) -> Any:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def transducer(labels: Sequence[int], logs: Any, steps: int) -> float:
    """Minus the logarithm of the sum over all ways to say the labels in the steps."""

    def ways(t: int, u: int) -> float:
        blank = logs[t, u, 0] + (ways(t + 1, u) if t + 1 < steps else (0.0 if u == len(labels) else -np.inf))
        return float(np.logaddexp(blank, logs[t, u, labels[u]] + ways(t, u + 1)) if u < len(labels) else blank)

    return -ways(0, 0)


def rnnt(it: Any, y: Any, z: Any) -> Any:
    return [transducer([c for c in a if c], log_softmax(b), len(b)) for a, b in zip(y, z, strict=True)]


def unlikelihood(it: Any, y: Any, p: Any) -> Any:
    values = np.zeros(y.shape)
    for b, t in np.ndindex(*y.shape):
        if it.from_logits:
            own = log_softmax(p[b, t])
            logs = {c: np.logaddexp.reduce(np.delete(own, c)) for c in range(len(own))}
        else:
            shares = p[b, t] / p[b, t].sum()
            logs = {c: np.log(np.clip(np.delete(shares, c).sum(), 1e-7, 1 - 1e-7)) for c in range(len(shares))}
        values[b, t] = -sum(logs[c] for c in {*y[b, :t].tolist()} - {y[b, t]})
    return values


def z_loss(it: Any, y: Any, z: Any) -> Any:
    return np.logaddexp.reduce(z, axis=-1) ** 2


def edit_distance(it: Any, y: Any, p: Any) -> Any:
    return [edits(a, b) / (max(len(a), len(b), 1) if it.normalize else 1) for a, b in pairs(y, p)]


VALUES: dict[str, Callable[..., Any]] = {
    "EditDistance": edit_distance,
    "RNNT": rnnt,
    "SequenceAccuracy": lambda it, y, p: [a == b for a, b in pairs(y, p)],
    "Unlikelihood": unlikelihood,
    "ZLoss": z_loss,
}
FIGURES: dict[str, Callable[..., Any]] = {
    "BLEU": bleu,
    "ChrF": chrf,
    "MatchErrorRate": error_rate(lambda a, b: max(len(a), len(b))),
    "SpanF1": span_f1,
    "SpanPrecision": span_share(1),
    "SpanRecall": span_share(2),
    "TokenErrorRate": error_rate(lambda a, b: len(a)),
}
