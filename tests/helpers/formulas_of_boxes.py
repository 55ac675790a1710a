"""How much two boxes overlap, in plain Python, by their corners `x, y, x, y`."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np


def box_iou(a: Any, b: Any, kind: str) -> float:
    def side(of: Any, axis: int) -> float:
        return max(of[axis + 2] - of[axis], 0.0)

    shared, hull = 1.0, []
    for axis in (0, 1):
        shared *= max(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]), 0.0)
        hull.append(max(a[axis + 2], b[axis + 2]) - min(a[axis], b[axis]))
    union = side(a, 0) * side(a, 1) + side(b, 0) * side(b, 1) - shared
    iou = shared / union if union else 0.0
    if kind == "iou":
        return iou
    if kind == "giou":
        return iou - (hull[0] * hull[1] - union) / (hull[0] * hull[1])
    apart = sum((a[axis] + a[axis + 2] - b[axis] - b[axis + 2]) ** 2 / 4 for axis in (0, 1))
    value = iou - apart / (hull[0] ** 2 + hull[1] ** 2)
    if kind == "diou":
        return value
    v = 4 / math.pi**2 * (math.atan2(side(a, 0), side(a, 1)) - math.atan2(side(b, 0), side(b, 1))) ** 2
    return value - v * v / (1 - iou + v)


def average_precisions(
    meant: Any, found: Any, classes: int, thresholds: Any, most: int = 100, points: int = 101, weight: Any = None
) -> Any:
    """COCO's average precisions `(thresholds, classes)`, box by box; NaN for classes that don't occur."""
    images = len(meant["labels"])
    weight = np.ones(images) if weight is None else weight
    crowds = meant.get("iscrowd", np.zeros_like(meant["labels"]))
    values = np.full((len(thresholds), classes), np.nan)
    for (t, threshold), c in itertools.product(enumerate(thresholds), range(classes)):
        positives, all_found = 0.0, []
        for i in range(images):
            here = meant["labels"][i] == c
            mine = list(zip(meant["boxes"][i][here], crowds[i][here], strict=True))
            positives += weight[i] * sum(not crowd for _, crowd in mine)
            boxes, scores = (found[key][i][found["labels"][i] == c] for key in ("boxes", "scores"))
            taken: set[int] = set()
            for k in np.argsort(-scores, kind="stable")[:most]:
                free = [
                    (box_iou(boxes[k], box, "iou"), j)
                    for j, (box, crowd) in enumerate(mine)
                    if not crowd and j not in taken
                ]
                free = [one for one in free if one[0] >= threshold]
                outcome = -1
                if free:
                    taken.add(max(free)[1])
                    outcome = 1
                elif any(crowd and covered(boxes[k], box) >= threshold for box, crowd in mine):
                    outcome = 0
                all_found.append((-scores[k], outcome, weight[i]))
        if positives:
            all_found = sorted(all_found, key=lambda one: one[0])
            right, wrong = (np.cumsum([w * (o == which) for _, o, w in all_found]) for which in (1, -1))
            recall, precision = right / positives, right / np.maximum(right + wrong, 1e-12)
            at = [precision[recall >= r] for r in np.linspace(0, 1, points)]
            values[t, c] = np.mean([max(each, default=0.0) for each in at])
    return values


def covered(a: Any, b: Any) -> float:
    """How much of a box lies in another."""
    sides = [max(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]), 0.0) for axis in (0, 1)]
    area = (a[2] - a[0]) * (a[3] - a[1])
    return sides[0] * sides[1] / area if area else 0.0


def detection_map(it: Any, y: Any, p: Any) -> Any:
    values = average_precisions(y, p, it.num_classes, it.thresholds, it.max_detections, it.recall_points)
    return np.nanmean(values, axis=1).mean()


FIGURES: dict[str, Callable[..., Any]] = {"DetectionMAP": detection_map}
