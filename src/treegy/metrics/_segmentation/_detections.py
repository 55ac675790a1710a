"""Boxes that are there and that are found in images, and which of them belong together."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..._describe import array_name, describe, is_arraylike
from ..._errors import ContractError
from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import all_in_floats
from ..._types import PyTree
from ...losses._box_iou import Layout, corners
from .._classification._class_indices import as_indices


class Boxes(NamedTuple):
    """The boxes of images that are there, or that are found."""

    boxes: Float[Array, "batch n 4"]
    labels: Int[Array, "batch n"]
    """-1 where there is no box."""
    scores: Float[Array, "batch n"]
    """0 for those that are there."""
    crowd: Bool[Array, "batch n"]
    ignored: Bool[Array, "batch n"]
    """Whether it needn't be found; of those that are found, whether it doesn't count where it belongs to none."""
    area: Float[Array, "batch n"]


class Outcomes(NamedTuple):
    """What became of the boxes that were found in an image, from the highest score to the lowest."""

    labels: Int[Array, "n"]
    scores: Float[Array, "n"]
    outcomes: Int[Array, "n thresholds"]
    """1 where it belongs to a box that is there, -1 where it doesn't, 0 where it doesn't count."""


def read_boxes(values: PyTree, name: str, layout: Layout) -> Boxes:
    """Return the boxes of `y_true`, or of `y_pred`, whose boxes have scores.

    **Raises:** [`treegy.ContractError`][] where something is missing or of another shape.
    """
    needed = ("boxes", "labels", "scores") if name == "y_pred" else ("boxes", "labels")
    if not isinstance(values, Mapping) or not all(is_arraylike(values.get(key)) for key in needed):
        *others, last = (f'"{key}"' for key in needed)
        raise ContractError(
            f"`{name}` must be a dict of arrays {', '.join(others)} and {last}, and got {describe(values)}."
        )
    boxes, labels = values["boxes"], as_indices(jnp.asarray(values["labels"]), f'{name}["labels"]')
    scores = values["scores"] if name == "y_pred" else jnp.zeros(labels.shape, jnp.float32)
    crowd = values.get("iscrowd", jnp.zeros(labels.shape, bool)) if name == "y_true" else jnp.zeros(labels.shape, bool)
    if labels.ndim != 2 or boxes.shape != (*labels.shape, 4):
        raise ContractError(
            f'`{name}["boxes"]` {array_name(boxes)} and `{name}["labels"]` {array_name(labels)} must hold as many '
            "boxes as labels: (batch, n, 4) and (batch, n), of which those of the label -1 fill up the array."
        )
    area = values.get("area") if name == "y_true" else None
    for key, of_boxes in (("scores", scores), ("iscrowd", crowd), ("area", labels if area is None else area)):
        if of_boxes.shape != labels.shape:
            raise ContractError(
                f'`{name}["{key}"]` {array_name(of_boxes)} must hold one for each of the labels {array_name(labels)}.'
            )
    boxes, scores = all_in_floats({f'{name}["boxes"]': boxes, f'{name}["scores"]': scores})
    area = _area(*corners(boxes, layout)) if area is None else jnp.asarray(area, boxes.dtype)
    return Boxes(boxes, labels, scores, crowd.astype(bool), crowd.astype(bool), area)


def outcomes_of(meant: Boxes, found: Boxes, thresholds: tuple[float, ...], layout: Layout, most: int) -> Outcomes:
    """Return what becomes of the boxes that are found in one image.

    From the highest score on, each takes of the boxes of its class that nobody has taken the one that it overlaps most;
    of equals the last, as in pycocotools. Only where there is none, it takes one that is ignored, and doesn't count; a
    box around a crowd can be taken by many.

    **Arguments:**

    - `meant`, `found`: of one image, without the axis of the batch.
    - `thresholds`: of how much it has to overlap at least.
    - `most`: how many boxes of a class count.
    """
    order = jnp.argsort(jnp.where(found.labels == -1, jnp.inf, -found.scores), stable=True)
    found = Boxes(*(a[order] for a in found))
    there = found.labels != -1
    if len(order) > most:
        before = jnp.tril(found.labels[:, None] == found.labels[None], -1)
        there = there & (jnp.sum(before, axis=1) < most)
    iou, covered = _overlaps(found, meant, layout)
    same = there[:, None] & (found.labels[:, None] == meant.labels[None])
    # Boxes of whole pixels are often exactly at a threshold, and not every device divides exactly.
    at_least = jnp.asarray(thresholds, iou.dtype)[:, None] * (1 - 1e-6)
    numbers = jnp.arange(len(meant.labels))

    def take(taken: Array, of_box: tuple[Array, ...]) -> tuple[Array, Array]:
        overlap, same, counts = of_box
        free = same[None] & ~taken & (overlap[None] >= at_least)
        wanted = free & ~meant.ignored[None]
        has_wanted = jnp.any(wanted, axis=1)
        free = jnp.where(has_wanted[:, None], wanted, free)
        best = jnp.max(jnp.where(free, overlap[None], -1), axis=1, keepdims=True, initial=-1)
        last = jnp.max(jnp.where(free & (overlap[None] == best), numbers[None], -1), axis=1, keepdims=True, initial=-1)
        outcome = jnp.where(has_wanted, 1, jnp.where((last[:, 0] >= 0) | ~counts, 0, -1))
        return taken | ((numbers[None] == last) & ~meant.crowd[None]), outcome.astype(jnp.int32)

    nobody = jnp.zeros((len(thresholds), len(numbers)), bool)
    overlap = jnp.where(meant.crowd[None], covered, iou)
    _, outcomes = jax.lax.scan(take, nobody, (overlap, same, there & ~found.ignored))
    return Outcomes(found.labels, found.scores, outcomes)


def _overlaps(found: Boxes, meant: Boxes, layout: Layout) -> tuple[Array, Array]:
    """Return the IoU of all pairs `(found, meant)`, and how much of each that is found lies in each that is meant."""
    (low, high), (other_low, other_high) = (corners(it.boxes, layout) for it in (found, meant))
    shared = _area(jnp.maximum(low[:, None], other_low[None]), jnp.minimum(high[:, None], other_high[None]))
    area, other_area = _area(low, high), _area(other_low, other_high)
    return safe_divide(shared, area[:, None] + other_area[None] - shared), safe_divide(shared, area[:, None])


def _area(low: Array, high: Array) -> Array:
    sides = jnp.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]
