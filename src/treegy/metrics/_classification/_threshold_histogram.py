"""How predictions of two classes are distributed between thresholds, by label.

A histogram gives the counts at every threshold by adding up: n examples and t thresholds cost O(n log t + t) instead of
O(n t), and what is accumulated doesn't depend on the metric value that is made of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._describe import describe
from ..._terms._accumulator import Sum
from ..._terms._elementwise import matched
from ...losses._crossentropy import EPSILON
from .._accumulators._counting import element_weights, histogram, spoiled, weighted_at_all
from .._accumulators._shared import Source, source
from ._binary_counts import Counts, check_class_id, columns, is_binary


def buckets_at(thresholds: tuple[float, ...], *, from_logits: bool, class_id: int | None = None) -> Source:
    """Return the histogram as what metrics accumulate; the arguments are those of `buckets`."""
    return source(buckets, thresholds=thresholds, from_logits=from_logits, class_id=class_id)


def buckets(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    thresholds: tuple[float, ...],
    from_logits: bool = False,
    class_id: int | None = None,
    per_class: bool = False,
    label_weights: tuple[float, ...] | None = None,
) -> Sum:
    """Return the histogram of a batch, `(2, thresholds + 1, classes)`: of negative and of positive labels.

    A class's is NaN where a label is neither 0 nor 1, or a prediction is NaN.

    **Arguments:**

    - `y_true`, `y_pred`: labels and predictions of the same shape `(batch, ...)`. Predictions are clipped to [0, 1].
    - `sample_weight`: lines up with the leading axes of the labels.
    - `thresholds`: in increasing order. A prediction that equals one is below it.
    - `from_logits`: whether `y_pred` holds logits.
    - `class_id`: the only class that is looked at, an index along the last axis. All by default.
    - `per_class`: whether the last axis is that of the classes. If not, everything is counted as one class.
    - `label_weights`: weights along the last axis.

    **Raises:** [`treegy.ContractError`][] where the shapes differ or the weights don't line up.
    """
    y_true, y_pred = matched(y_true, y_pred)
    check_class_id(y_pred, class_id)
    weights = element_weights(sample_weight, y_pred)
    if label_weights is not None:
        by_label = jnp.broadcast_to(jnp.asarray(label_weights, y_pred.dtype), y_pred.shape)
        weights = by_label if weights is None else weights * by_label
    weights = None if weights is None else columns(weights, class_id, per_class)
    y_true, y_pred = columns(y_true, class_id, per_class), columns(y_pred, class_id, per_class)
    p = jnp.clip(jax.nn.sigmoid(y_pred) if from_logits else y_pred, 0, 1)
    edges = jnp.asarray(thresholds, p.dtype)
    below = jnp.searchsorted(edges, p, side="left", method="scan_unrolled").astype(jnp.int32)
    shape = (2, len(thresholds) + 1, p.shape[-1])
    positive, column = (y_true == 1).astype(jnp.int32), jax.lax.broadcasted_iota(jnp.int32, p.shape, 1)
    bins = (positive * shape[1] + below) * shape[2] + column
    invalid = jnp.any(weighted_at_all(~is_binary(y_true) | jnp.isnan(p), weights), axis=0)
    return spoiled(histogram(bins, shape, weights, p.dtype), invalid)


def at_thresholds(histogram: Float[Array, "2 buckets *classes"]) -> Counts:
    """Return the counts at each threshold, `(thresholds, *classes)`, of a histogram."""
    negative, positive = histogram

    def above(counts: Array) -> Array:
        return jnp.flip(jnp.cumsum(jnp.flip(counts, 0), axis=0), 0)[1:]

    def below(counts: Array) -> Array:
        return jnp.cumsum(counts, axis=0)[:-1]

    return Counts(above(positive), above(negative), below(positive), below(negative))


def summed(values: Array) -> Array:
    """Return the sum over the first axis, by halves: one after the other, many would lose a digit to rounding."""
    while len(values) > 1:
        half = len(values) // 2
        values = jnp.concatenate([values[:half] + values[half : 2 * half], values[2 * half :]])
    return values[0]


def spread_thresholds(num_thresholds: int, thresholds: Sequence[float] | None = None) -> tuple[float, ...]:
    """Return thresholds, evenly spread unless given, with one below 0 and one above 1: a curve reaches both ends."""
    within = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
    return (-EPSILON, *(within if thresholds is None else sorted(thresholds)), 1 + EPSILON)


def even_thresholds(num_thresholds: int) -> tuple[float, ...]:
    """Return thresholds evenly spread from 0 to 1; a single one is one half."""
    return (0.5,) if num_thresholds == 1 else tuple(i / (num_thresholds - 1) for i in range(num_thresholds))


def _as_numbers(values: object) -> Any:
    """Return a tuple of Python floats, hashable; what isn't a list of numbers stays, to be refused by name."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, Sequence) and all(isinstance(v, int | float) for v in values):
        return tuple(float(v) for v in values)
    return values


as_numbers: Callable[[Sequence[float] | np.ndarray | None], Sequence[float] | None] = _as_numbers


def check_given_thresholds(thresholds: object) -> None:
    """Refuse what isn't numbers from 0 to 1."""
    if thresholds is None:
        return
    if not isinstance(thresholds, tuple):
        raise TypeError(f"`thresholds` is a list of numbers from 0 to 1, and got {describe(thresholds)}.")
    for threshold in thresholds:
        check_number("thresholds", threshold, lambda t: 0 <= t <= 1, "a list of numbers from 0 to 1")
