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


def precisions_and_recalls(
    meant: Any,
    found: Any,
    classes: int,
    thresholds: Any,
    most: int = 100,
    points: int = 101,
    weight: Any = None,
    area_range: Any = None,
) -> Any:
    """COCO's average precisions and recalls, `(thresholds, classes)`, box by box; NaN for classes that don't occur."""
    images = len(meant["labels"])
    weight = np.ones(images) if weight is None else weight
    crowds = meant.get("iscrowd", np.zeros_like(meant["labels"]))
    areas = meant["area"] if "area" in meant else size(meant["boxes"])
    least, largest = (-1, math.inf) if area_range is None else area_range
    precisions, recalls = np.full((2, len(thresholds), classes), np.nan)
    for (t, threshold), c in itertools.product(enumerate(thresholds), range(classes)):
        positives, all_found = 0.0, []
        for i in range(images):
            here = meant["labels"][i] == c
            mine = [
                (box, crowd, crowd or not least <= area <= largest)
                for box, crowd, area in zip(meant["boxes"][i][here], crowds[i][here], areas[i][here], strict=True)
            ]
            positives += weight[i] * sum(not ignored for _, _, ignored in mine)
            boxes, scores = (found[key][i][found["labels"][i] == c] for key in ("boxes", "scores"))
            taken: set[int] = set()
            for k in np.argsort(-scores, kind="stable")[:most]:
                overlaps = [
                    (not ignored, covered(boxes[k], box) if crowd else box_iou(boxes[k], box, "iou"), j)
                    for j, (box, crowd, ignored) in enumerate(mine)
                    if j not in taken
                ]
                overlaps = [one for one in overlaps if one[1] >= threshold]
                outcome = -1 if least <= size(boxes[k]) <= largest else 0
                if overlaps:
                    counts, _, j = max(overlaps)
                    outcome = int(counts)
                    if not mine[j][1]:
                        taken.add(j)
                all_found.append((-scores[k], outcome, weight[i]))
        if positives:
            all_found = sorted(all_found, key=lambda one: one[0])
            right, wrong = (np.cumsum([w * (o == which) for _, o, w in all_found]) for which in (1, -1))
            recall, precision = right / positives, right / np.maximum(right + wrong, 1e-12)
            at = [precision[recall >= r] for r in np.linspace(0, 1, points)]
            precisions[t, c] = np.mean([max(each, default=0.0) for each in at])
            recalls[t, c] = max(recall, default=0.0)
    return precisions, recalls


def size(boxes: Any) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def covered(a: Any, b: Any) -> float:
    """How much of a box lies in another."""
    sides = [max(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]), 0.0) for axis in (0, 1)]
    area = (a[2] - a[0]) * (a[3] - a[1])
    return sides[0] * sides[1] / area if area else 0.0


def detection_metric(which: int) -> Any:
    def of(it: Any, y: Any, p: Any) -> Any:
        points = getattr(it, "recall_points", 101)
        both = precisions_and_recalls(
            y, p, it.num_classes, it.thresholds, it.max_detections, points, area_range=it.area_range
        )
        values = both[which]
        return np.nan_to_num(values).mean(0) if it.by_class else np.nanmean(values, axis=1).mean()

    return of


FIGURES: dict[str, Callable[..., Any]] = {"DetectionMAP": detection_metric(0), "DetectionMAR": detection_metric(1)}
