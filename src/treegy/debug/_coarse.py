"""Whether the thresholds of a metric tell the predictions apart that it is about."""

from collections.abc import Iterator

import numpy as np

from ._declared_predictions import Meant
from ._value_checks import Seen

# The share of the pairs of a positive and a negative label that may lie between the same two thresholds. Half of it is
# how far the area under the ROC curve can be off; evenly spread predictions have a two-hundredth of them there.
_SHARE = 0.02


def coarse(meant: Meant, y_pred: Seen | None, y_true: Seen | None) -> Iterator[str]:
    """Yield what is doubtful about a curve that is known at some thresholds only, as the rest of a sentence."""
    if not isinstance(meant.options.get("num_thresholds"), int) or y_pred is None or y_true is None:
        return
    if meant.options.get("capacity") is not None:
        return  # it has a threshold at each prediction
    if y_true.values.shape != y_pred.values.shape:
        return
    several = meant.options.get("multi_label") or meant.options.get("average", "micro") != "micro"
    counts = y_pred.counts & y_true.counts & ~np.isnan(y_pred.values)
    values = 1 / (1 + np.exp(-y_pred.values)) if meant.options.get("from_logits") else y_pred.values
    columns = [
        np.reshape(a, (-1, a.shape[-1] if several and a.ndim > 1 else 1)) for a in (values, y_true.values, counts)
    ]
    shares = [_share(p[c], y[c], _thresholds(meant)) for p, y, c in zip(*(a.T for a in columns), strict=True)]
    share = max(shares, default=0.0)
    if share > _SHARE:
        given = "thresholds" in meant.options
        mend = (
            "Pass `thresholds=` that lie among the predictions, such as "
            "`np.quantile(y_pred, np.linspace(0, 1, 200)).tolist()`"
            if given
            else "Raise `num_thresholds`"
        )
        yield (
            f"knows its curve at {len(_thresholds(meant))} thresholds, and {share:.0%} of all pairs of a positive and "
            f"a negative label have different predictions between the same two: the value is coarse. {mend}."
        )


def _thresholds(meant: Meant) -> np.ndarray:
    given, count = meant.options.get("thresholds"), meant.options["num_thresholds"]
    assert isinstance(count, int)
    return np.linspace(0, 1, count) if given is None else np.sort(np.asarray(given))


def _share(predictions: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> float:
    """Return the share of the pairs of a positive and a negative label that differ between the same thresholds."""
    positive, negative = labels == 1, labels == 0
    pairs = float(positive.sum()) * float(negative.sum())
    if not pairs:
        return 0.0
    bins = np.searchsorted(thresholds, np.clip(predictions, 0, 1), side="left")
    return (_in_common(bins, positive, negative) - _in_common(predictions, positive, negative)) / pairs


def _in_common(values: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """Count the pairs of a positive and a negative label that have the same value."""
    # By value how many labels of each kind there are: their products are the pairs, which needn't be looked at.
    _, which = np.unique(values, return_inverse=True)
    which = which.reshape(-1)
    return float(np.bincount(which, positive.astype(float)) @ np.bincount(which, negative.astype(float)))
