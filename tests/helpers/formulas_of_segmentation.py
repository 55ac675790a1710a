"""Losses and metrics of segmentations in NumPy float64, as they are defined, for one example each."""

from typing import Any

import numpy as np
from scipy import ndimage


def overlaps(y: Any, p: Any, classes: Any) -> Any:
    """How large the regions of classes are, of what is both, of labels and of predictions: `(3, classes)`."""
    return np.array([[((y == c) & (p == c)).sum(), (y == c).sum(), (p == c).sum()] for c in classes], "float64").T


def dice(y: Any, p: Any, classes: Any, average: str | None = "macro") -> Any:
    both, labels, predictions = overlaps(y, p, classes)
    if average == "micro":
        return 2 * both.sum() / (labels.sum() + predictions.sum())
    with np.errstate(invalid="ignore"):
        scores = 2 * both / (labels + predictions)
    return scores if average is None else np.nanmean(scores)


def generalized_dice(y: Any, p: Any, classes: Any, power: float = 2) -> Any:
    both, labels, predictions = overlaps(y, p, classes)
    weights = np.array([n**-power if n else 0.0 for n in labels])
    weights = np.where(labels > 0, weights, weights.max() or 1.0)
    return 2 * (weights * both).sum() / (weights * (labels + predictions)).sum()


def hausdorff(
    y: Any, p: Any, percentile: float = 100, directed: bool = False, spacing: Any = 1.0, empty: float = np.inf
) -> Any:
    """The distance of the edges of two masks, none of them empty."""
    if not (y.any() and p.any()):
        return empty if y.any() or p.any() else np.nan
    a, b = (mask & ~np.asarray(ndimage.binary_erosion(mask), bool) for mask in (p, y))
    pairs = [(a, b)] if directed else [(a, b), (b, a)]
    each = [np.asarray(ndimage.distance_transform_edt(~other, sampling=spacing))[edge] for edge, other in pairs]
    return max(np.percentile(distances, percentile) for distances in each)


def mean_hausdorff(y: Any, p: Any, classes: Any, **options: Any) -> Any:
    return np.nanmean([hausdorff(y == c, p == c, **options) for c in classes])


def lovasz(errors: Any, region: Any) -> Any:
    """The Lovász extension of 1 - IoU, as the code of the paper has it."""
    order = np.argsort(-errors, kind="stable")
    inside = region[order].astype("float64")
    lack = 1 - (inside.sum() - inside.cumsum()) / (inside.sum() + (1 - inside).cumsum())
    return (np.maximum(errors[order], 0) * np.diff(lack, prepend=0)).sum()


def lovasz_hinge(y: Any, s: Any) -> Any:
    return lovasz(1 - (2 * y.ravel() - 1.0) * s.ravel(), y.ravel() == 1)


def lovasz_softmax(y: Any, p: Any, ignore_class: int | None = None) -> Any:
    y, p = y.ravel(), p.reshape(-1, p.shape[-1])
    y, p = y[y != ignore_class], p[y != ignore_class]
    each = [lovasz(np.abs((y == c) - p[:, c]), y == c) for c in range(p.shape[-1]) if (y == c).any()]
    return np.mean(each) if each else 0.0


def signed_distances(mask: Any) -> Any:
    if mask.all() or not mask.any():
        return np.zeros(mask.shape)
    outward, inward = (np.asarray(ndimage.distance_transform_edt(m)) for m in (~mask, mask))
    return np.where(mask, 1 - inward, outward)


def panoptic_counts(y: Any, p: Any, things: Any, stuffs: Any) -> Any:
    """The sums of IoU, pairs, segments that are too many, and that are missing, of each category: `(4, categories)`."""
    categories = [*things, *stuffs]

    def segments_of(values: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for at in np.ndindex(values.shape[:-1]):
            category, instance = values[at]
            name = (category, instance if category in things else 0) if category in categories else None
            found.setdefault(name, set()).add(at)
        return found

    meant, found = segments_of(y), segments_of(p)
    no_label, no_prediction = meant.pop(None, set()), found.pop(None, set())
    counts, paired = np.zeros((4, len(categories))), set()
    for name, pixels in meant.items():
        column = categories.index(name[0])
        for other, theirs in found.items():
            either = len((pixels - no_prediction) | (theirs - no_label))
            iou = len(pixels & theirs) / either if either else 0
            if other[0] == name[0] and iou > 0.5:
                counts[:2, column] += iou, 1
                paired |= {("meant", name), ("found", other)}
        counts[3, column] += ("meant", name) not in paired and len(pixels & no_prediction) <= len(pixels) / 2
    for name, pixels in found.items():
        counts[2, categories.index(name[0])] += ("found", name) not in paired and len(pixels & no_label) <= len(
            pixels
        ) / 2
    return counts


def panoptic_quality(counts: Any) -> Any:
    iou, pairs, too_many, missing = counts
    denominator = pairs + (too_many + missing) / 2
    return (iou[denominator > 0] / denominator[denominator > 0]).mean()
