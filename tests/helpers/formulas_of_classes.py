"""More of what losses and metrics of classes compute, in NumPy float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq
from sklearn import metrics as sklearn


def cramers_v(it: Any, y: Any, p: Any) -> float:
    n = p.shape[-1]
    matrix = np.zeros((n, n))
    np.add.at(matrix, (y, p.argmax(-1)), 1)
    matrix = matrix[matrix.sum(1) > 0][:, matrix.sum(0) > 0]
    expected = np.outer(matrix.sum(1), matrix.sum(0)) / matrix.sum()
    phi, total, (r, c) = ((matrix - expected) ** 2 / expected).sum() / matrix.sum(), matrix.sum(), matrix.shape
    if min(r, c) == 1:
        return 0.0
    if it.bias_correction:
        phi = max(phi - (r - 1) * (c - 1) / (total - 1), 0)
        r, c = (k - (k - 1) ** 2 / (total - 1) for k in (r, c))
    return float(np.sqrt(phi / (min(r, c) - 1)))


def logit_adjusted(it: Any, y: Any, z: Any) -> Any:
    counts = np.asarray(it.class_counts, "float64")
    adjusted = z + float(it.tau) * np.log(counts / counts.sum())
    return np.logaddexp.reduce(adjusted, axis=-1) - np.take_along_axis(adjusted, y[..., None], -1)[..., 0]


def negative_predictive_value(it: Any, y: Any, p: Any) -> float:
    negative = p <= 0.5
    return float((negative & (y == 0)).sum() / negative.sum()) if negative.any() else 0.0


def log_p(it: Any, p: Any) -> Any:
    """The logarithms of probabilities, or of the softmax of logits."""
    if it.from_logits:
        return p - np.logaddexp.reduce(p, axis=-1, keepdims=True)
    total = p.sum(-1, keepdims=True)
    return np.log(np.clip(np.divide(p, total, out=np.zeros_like(p), where=total != 0), 1e-7, 1 - 1e-7))


def of_label(values: Any, y: Any) -> Any:
    return np.take_along_axis(values, y[..., None], -1)[..., 0]


def symmetric_crossentropy(it: Any, y: Any, p: Any) -> Any:
    log = of_label(log_p(it, p), y)
    return -float(it.alpha) * log + float(it.beta) * float(it.log_of_zero) * np.expm1(log)


def bootstrapped_crossentropy(it: Any, y: Any, p: Any) -> Any:
    log, beta = log_p(it, p), float(it.beta)
    predicted = log.max(-1) if it.hard else (np.exp(log) * log).sum(-1)
    return -beta * of_label(log, y) - (1 - beta) * predicted


def asymmetric_loss(it: Any, y: Any, z: Any) -> Any:
    log_right, log_wrong = -np.logaddexp(0, -z), -np.logaddexp(0, z)
    margin, shifted = float(it.margin), np.maximum(np.exp(log_right) - float(it.margin), 0)
    log_rest = np.minimum(np.logaddexp(log_wrong, np.log(margin) if margin else -np.inf), 0)
    present = np.exp(float(it.gamma_positive) * log_wrong) * -log_right
    return (y * present + (1 - y) * shifted ** float(it.gamma_negative) * -log_rest).mean(-1)


def margins(it: Any, y: Any, z: Any) -> Any:
    counts = np.asarray(it.class_counts, "float64")
    apart = float(it.max_margin) * (counts.min() / counts) ** 0.25
    shifted = float(it.scale) * (z - np.eye(len(counts))[y] * apart)
    shifted = shifted - shifted.max(-1, keepdims=True)
    return np.log(np.exp(shifted).sum(-1)) - of_label(shifted, y)


def coral(it: Any, y: Any, z: Any) -> Any:
    above = y[..., None] > np.arange(z.shape[-1])
    return np.logaddexp(0, np.where(above, -z, z)).sum(-1)


def corn(it: Any, y: Any, z: Any) -> Any:
    above, reached = (y[..., None] >= np.arange(z.shape[-1]) + more for more in (1, 0))
    return (reached * np.logaddexp(0, np.where(above, -z, z))).sum(-1)


def fleiss_kappa(it: Any, counts: Any) -> float:
    counts = counts[counts.sum(-1) > 1].astype("float64")
    if not len(counts):
        return 0.0
    raters = counts.sum(-1)
    agreeing = ((counts**2).sum(-1) - raters) / (raters * (raters - 1))
    by_chance = ((counts / raters[:, None]).mean(0) ** 2).sum()
    return float((agreeing.mean() - by_chance) / (1 - by_chance)) if by_chance < 1 else 0.0


def equal_error_rate(it: Any, y: Any, p: Any) -> float:
    false, true, _ = sklearn.roc_curve(y.ravel(), p.ravel())
    root: Any = brentq(lambda x: 1 - x - np.interp(x, false, true), 0, 1)
    return float(root)


def log_auc(it: Any, y: Any, p: Any) -> float:
    """By trapezes on a fine grid, whose places are those of the curve, too."""
    low, high = it.false_positive_rates
    false, true, _ = sklearn.roc_curve(y.ravel(), p.ravel(), drop_intermediate=False)
    rises = np.concatenate([np.geomspace(low, high, 20_001), false, np.maximum(false - 1e-12, 0)])
    rates = np.unique(np.clip(rises, low, high))
    # Of the same rate the last, as the one before it has the first.
    recalls = np.array([true[false <= rate][-1] if rate in false else np.interp(rate, false, true) for rate in rates])
    return float(np.trapezoid(recalls / rates, rates) / np.log(high / low))


def cumulative_gain(it: Any, y: Any, p: Any) -> Any:
    """Example by example: of equal predictions each counts in part."""
    y, p = y.ravel(), p.ravel()

    def of(fraction: float) -> float:
        room, found = fraction * len(p), 0.0
        for value in np.unique(p)[::-1]:
            share = min(room / np.sum(p == value), 1)
            found, room = found + share * np.sum(y[p == value]), room - share * np.sum(p == value)
        return found / max(np.sum(y), 1)

    return of(it.fraction) if isinstance(it.fraction, float) else np.array([of(one) for one in it.fraction])


def lift(it: Any, y: Any, p: Any) -> Any:
    return cumulative_gain(it, y, p) / np.asarray(it.fraction)


def best_threshold(it: Any, y: Any, p: Any) -> tuple[float, Any]:
    """The threshold and its confusion matrix, one threshold after the other."""

    def correlation(y: Any, at: Any) -> float:
        return float(np.corrcoef(y, at)[0, 1]) if y.any() and at.any() and not y.all() and not at.all() else 0.0

    criteria: dict[str, Callable[..., float]] = {
        "youden": lambda y, at: share(at[y == 1]) + share(~at[y == 0]),
        "f1": lambda y, at: 2 * np.sum(at & (y == 1)) / max(np.sum(at) + np.sum(y), 1),
        "accuracy": lambda y, at: share(at == y),
        "mcc": correlation,
    }
    y, p = y.ravel(), p.ravel()
    # As it is rounded there.
    thresholds = np.linspace(0, 1, it.num_thresholds).astype(p.dtype)
    scores = [criteria[it.criterion](y, p > t) for t in thresholds]
    best = next(t for t, s in zip(thresholds, scores, strict=True) if s > max(scores) - 1e-9)
    matrix = [[np.sum((y == label) & ((p > best) == chosen)) for chosen in (0, 1)] for label in (0, 1)]
    return float(best), np.array(matrix)


def likelihood_ratio(positive: bool) -> Any:
    def of(it: Any, y: Any, p: Any) -> float:
        y, chosen = y.ravel() == 1, (p.ravel() > 0.5) == positive
        among_positives, among_negatives = share(chosen[y]), share(chosen[~y])
        return among_positives / among_negatives if y.any() and among_negatives else it.zero_division

    return of


def rates_apart(rates: Any, ratio: bool) -> float:
    rates = np.asarray(rates)
    return float(rates.min() / rates.max() if rates.max() else 1) if ratio else float(rates.max() - rates.min())


def share(which: Any) -> float:
    return float(np.mean(which)) if len(which) else 0.0


def demographic_parity(it: Any, y: Any, p: Any, groups: Any = None) -> float:
    groups = p[:, 0] > 0.5 if groups is None else groups
    return rates_apart([share((p[groups == g] > 0.5).ravel()) for g in np.unique(groups)], it.ratio)


def equalized_odds(it: Any, y: Any, p: Any, groups: Any = None) -> float:
    groups = p[:, 0] > 0.5 if groups is None else groups

    def rates(label: int) -> Any:
        return [share((p[groups == g] > 0.5)[y[groups == g] == label]) for g in np.unique(groups)]

    both = [rates_apart(rates(label), it.ratio) for label in (1, 0)]
    return float(np.mean(both)) if it.agg == "mean" else min(both) if it.ratio else max(both)


def expected_cost(it: Any, y: Any, p: Any) -> float:
    return float(np.asarray(it.costs)[y, p.argmax(-1)].mean())


VALUES: dict[str, Callable[..., Any]] = {
    "AsymmetricLoss": asymmetric_loss,
    "BootstrappedCrossentropy": bootstrapped_crossentropy,
    "CORAL": coral,
    "CORN": corn,
    "LabelDistributionAwareMargin": margins,
    "LogitAdjusted": logit_adjusted,
    "SymmetricCrossentropy": symmetric_crossentropy,
}
FIGURES: dict[str, Callable[..., Any]] = {
    "BestThreshold": lambda it, y, p: best_threshold(it, y, p)[0],
    "ConfusionAtBestThreshold": lambda it, y, p: best_threshold(it, y, p)[1],
    "CramersV": cramers_v,
    "CumulativeGain": cumulative_gain,
    "DemographicParity": demographic_parity,
    "EqualErrorRate": equal_error_rate,
    "EqualizedOdds": equalized_odds,
    "ExpectedCost": expected_cost,
    "FleissKappa": lambda it, y, counts: fleiss_kappa(it, counts),
    "Lift": lift,
    "LogAUC": log_auc,
    "NegativeLikelihoodRatio": likelihood_ratio(False),
    "NegativePredictiveValue": negative_predictive_value,
    "PositiveLikelihoodRatio": likelihood_ratio(True),
    "TheilsU": lambda it, y, p: sklearn.homogeneity_score(y, p.argmax(-1)),
}
