"""What losses and metrics of survival compute, example by example and pair by pair, in NumPy float64."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np


def cox(it: Any, y: Any, z: Any, w: Any = None) -> Any:
    """Minus the partial log-likelihood by the times at which it happens, and the sum of the weights of these."""
    time, event = y.T
    w = np.ones(len(z)) if w is None else w
    total, found = 0.0, (event == 1) & (w > 0)
    for t in np.unique(time[found]):
        dead, at_risk = found & (time == t), (time >= t) & (w > 0)
        m = dead.sum()
        total -= (w * z)[dead].sum()
        for k in range(m):
            among = z + np.log(np.where(w > 0, w, 1)) + np.log(np.where(dead & (it.ties == "efron"), 1 - k / m, 1))
            total += w[dead].mean() * np.logaddexp.reduce(among[at_risk])
    return total, w[found].sum()


def discrete_hazards(it: Any, y: Any, z: Any) -> Any:
    values = []
    for (interval, event), logits in zip(y, z, strict=True):
        survived = np.logaddexp(0, logits[: interval + 1])
        survived[interval] = np.logaddexp(0, -logits[interval] if event else logits[interval])
        values.append(survived.sum())
    return values


def concordance(it: Any, y: Any, r: Any, w: Any = None) -> float:
    w = np.ones(len(r)) if w is None else w
    won = pairs = 0.0
    for i, j in np.ndindex(len(r), len(r)):
        (t, happened), (other, to_other) = y[i], y[j]
        if happened and (t < other or (t == other and not to_other)):
            pairs += w[i] * w[j]
            won += w[i] * w[j] * ((r[i] > r[j]) + (r[i] == r[j]) / 2)
    return won / pairs if pairs else 0.0


def surviving(time: Any, event: Any, t: Any, w: Any = None) -> float:
    """Kaplan and Meier's product over the times at which something happened, up to `t`."""
    w = np.ones(len(time)) if w is None else w
    found = 1.0
    for u in np.unique(time[(event == 1) & (time <= t)]):
        found *= 1 - w[(time == u) & (event == 1)].sum() / w[time >= u].sum()
    return found


def uncensored(train: Any, t: Any) -> float:
    """The same of what is censored, after what happens at its time."""
    time, event = np.asarray(train, "float64").T
    # A moment later than what happens.
    return surviving(time + np.where(event == 0, 1e-9, 0), 1 - event, float(t) + 1e-9)


def survival_brier(train: Any, times: Any, y: Any, s: Any) -> Any:
    """`(batch, times)`"""
    values = np.zeros(np.shape(s))
    for (i, (u, happened)), (k, t) in itertools.product(enumerate(y), enumerate(times)):
        error, seen = (s[i, k], uncensored(train, u)) if u <= t else (1 - s[i, k], uncensored(train, t))
        if (u > t or happened) and seen:
            values[i, k] = error**2 / seen
    return values


def integrated(times: Any, values: Any) -> Any:
    return np.trapezoid(values, times, axis=-1) / (times[-1] - times[0])


def survival_auc(train: Any, times: Any, y: Any, r: Any, w: Any = None) -> Any:
    w = np.ones(len(r)) if w is None else w
    values = []
    for t in times:
        won = pairs = 0.0
        for i, j in np.ndindex(len(r), len(r)):
            if y[i, 0] <= t < y[j, 0] and y[i, 1] and w[i]:
                each = w[i] * w[j] / uncensored(train, y[i, 0])
                pairs += each
                won += each * ((r[i] > r[j]) + (r[i] == r[j]) / 2)
        values.append(won / pairs if pairs else 0.0)
    return np.array(values)


def mean_auc(times: Any, y: Any, values: Any, w: Any = None) -> float:
    time, event = np.asarray(y, "float64").T
    lost = -np.diff([1, *(surviving(time, event, t, w) for t in times)])
    return (values * lost).sum() / lost.sum()


TRAIN = [[1, 1], [1, 0], [2, 0], [3, 1], [4, 0]]


VALUES: dict[str, Callable[..., Any]] = {
    "Cox": lambda it, y, z: np.divide(*cox(it, y, z)),
    "DiscreteHazards": discrete_hazards,
    "SurvivalBrierScore": lambda it, y, s: integrated(it.times, survival_brier(TRAIN, it.times, y, s)),
}
FIGURES: dict[str, Callable[..., Any]] = {
    "ConcordanceIndex": concordance,
    "SurvivalAUC": lambda it, y, r: mean_auc(it.times, y, survival_auc(TRAIN, it.times, y, r)),
}
