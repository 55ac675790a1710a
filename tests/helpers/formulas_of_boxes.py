"""How much two boxes overlap, in plain Python, by their corners `x, y, x, y`."""

import math
from typing import Any


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
