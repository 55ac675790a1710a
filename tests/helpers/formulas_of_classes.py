"""More of what losses and metrics of classes compute, in NumPy float64."""

from collections.abc import Callable
from typing import Any

import numpy as np


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


VALUES: dict[str, Callable[..., Any]] = {"LogitAdjusted": logit_adjusted}
FIGURES: dict[str, Callable[..., Any]] = {
    "CramersV": cramers_v,
    "NegativePredictiveValue": negative_predictive_value,
}
