"""What losses and metrics of survival compute, example by example and pair by pair, in NumPy float64."""

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


VALUES: dict[str, Callable[..., Any]] = {
    "Cox": lambda it, y, z: np.divide(*cox(it, y, z)),
    "DiscreteHazards": discrete_hazards,
}
FIGURES: dict[str, Callable[..., Any]] = {"ConcordanceIndex": concordance}
