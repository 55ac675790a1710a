"""Counts of right and wrong predictions of two classes, of which precision, recall and their kin are made."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import check_number
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Sum
from ..._terms._classes import class_axis, within
from ..._terms._elementwise import computed_once, matched
from .._accumulators._counting import count, counted, element_weights, spoiled, weighted_at_all
from .._accumulators._shared import Source, source
from ._class_indices import as_indices, holds_class_indices
from ._top_k import among_top

Thresholds = ArrayLike | Sequence[ArrayLike]


class Counts(NamedTuple):
    """How many predictions were right and wrong, by label."""

    true_positives: Array
    false_positives: Array
    false_negatives: Array
    true_negatives: Array


def counts_at(
    thresholds: Thresholds | None,
    *,
    top_k: int | None = None,
    class_id: int | None = None,
    per_class: bool = False,
    largest: bool = False,
) -> Source:
    """Return the counts as what metrics accumulate.

    **Arguments:**

    - `thresholds`: a number, or several; 0.5 by default.
    - `top_k`: how many of the largest predictions along the last axis can be positive; without `thresholds`, they are.
    - `class_id`, `per_class`: those of `confusion`.
    - `largest`: whether, without `thresholds` and `top_k`, the largest predictions along the last axis are positive.
    """
    if thresholds is None and top_k is None and not largest:
        thresholds = 0.5
    return source(
        _counts_of,
        thresholds=thresholds,
        top_k=top_k,
        class_id=class_id,
        per_class=per_class,
        largest=largest and thresholds is None and top_k is None,
    )


def _counts_of(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    thresholds: Thresholds | None,
    top_k: int | None,
    class_id: int | None,
    per_class: bool,
    largest: bool,
) -> Sum:
    if holds_class_indices(y_true, y_pred):
        y_true = _one_hot(y_true, y_pred)
    if per_class or largest:
        class_axis(y_true, y_pred)
    y_true, y_pred = matched(y_true, y_pred)
    chosen = _largest(y_pred) if largest else predicted(y_pred, thresholds, top_k)
    return confusion(y_true, y_pred, chosen, sample_weight, class_id=class_id, per_class=per_class)


def _one_hot(y_true: Array, y_pred: Array) -> Array:
    """Return class indices as one-hot labels; what is no class becomes a label that is neither 0 nor 1."""
    inside, labels = within(as_indices(y_true, "y_true"), y_pred.shape[-1])
    one_hot = jax.nn.one_hot(labels, y_pred.shape[-1], dtype=jnp.int32)
    return jnp.where(inside[..., None], one_hot, jnp.full_like(one_hot, -1))


def _largest(y_pred: Array) -> Array:
    """Return which predictions are the largest: as in Keras, all of equal ones, and none of nothing but zeros."""
    y_pred = computed_once(y_pred)
    return (y_pred >= jnp.max(y_pred, axis=-1, keepdims=True)) & (jnp.abs(y_pred) > 1e-9)


def confusion(
    y_true: Array,
    y_pred: Array,
    chosen: Array,
    sample_weight: Array | None,
    *,
    class_id: int | None = None,
    per_class: bool = False,
) -> Sum:
    """Return the counts of a batch, `(4, classes)` in the order of `Counts`, or `(4, thresholds, classes)`.

    They are exact however long the epoch. Those of a class are NaN where a label is neither 0 nor 1, or a prediction is
    NaN.

    **Arguments:**

    - `y_true`, `y_pred`: labels and predictions of the same shape `(batch, ...)` and dtype.
    - `chosen`: which of them are predicted to be positive, of the same shape, or with an axis of thresholds before.
    - `sample_weight`: lines up with the leading axes of the labels.
    - `class_id`: the only class that is looked at, an index along the last axis. All by default.
    - `per_class`: whether the last axis is that of the classes. If not, everything is counted as one class.

    **Raises:** [`treegy.ContractError`][] where there is no such class, or where the weights don't line up.
    """
    check_class_id(y_pred, class_id)
    weights = element_weights(sample_weight, y_pred)
    weights = None if weights is None else columns(weights, class_id, per_class)
    positive = columns(y_true == 1, class_id, per_class)
    invalid = columns(~is_binary(y_true) | jnp.isnan(y_pred), class_id, per_class)

    def counts(chosen: Array) -> Array:
        predicted = columns(chosen, class_id, per_class)
        cells = (positive & predicted, ~positive & predicted, positive & ~predicted, ~positive & ~predicted)
        return jnp.stack([count(cell, weights) for cell in cells])

    found = counts(chosen) if chosen.ndim == y_pred.ndim else jax.vmap(counts, out_axes=1)(chosen)
    return spoiled(counted(found, y_pred.dtype), jnp.any(weighted_at_all(invalid, weights), axis=0))


def is_binary(y_true: Array) -> Array:
    """Return which labels are 0 or 1."""
    return (y_true == 0) | (y_true == 1)


def columns(values: Array, class_id: int | None, per_class: bool) -> Array:
    """Return values `(..., classes)` as `(rows, classes)`; all in one column if not `per_class`."""
    if class_id is not None:
        values = values[..., class_id]
    return values.reshape(-1, values.shape[-1] if per_class else 1)


def predicted(y_pred: Array, thresholds: Thresholds | None, top_k: int | None = None) -> Array:
    """Return which predictions are positive: those above a threshold, and among the `top_k` of the last axis.

    For several thresholds, there is an axis of them before. Without thresholds it is 0.5, or the `top_k` alone.
    """
    chosen = None if top_k is None else among_top(y_pred, top_k)
    if thresholds is None and chosen is not None:
        return chosen
    at = jnp.asarray(0.5 if thresholds is None else thresholds, y_pred.dtype)

    def above(threshold: Array) -> Array:
        return y_pred > threshold if chosen is None else chosen & (y_pred > threshold)

    return above(at) if at.ndim == 0 else jax.vmap(above)(at)


def _as_thresholds(thresholds: object) -> Any:
    """Return several thresholds as a tuple."""
    return tuple(thresholds) if isinstance(thresholds, list) else thresholds


as_thresholds: Callable[[Thresholds | None], Thresholds | None] = _as_thresholds


def check_thresholds(thresholds: object, name: str = "thresholds") -> None:
    """Refuse thresholds that aren't numbers from 0 to 1."""
    if thresholds is None:
        return
    several = thresholds if isinstance(thresholds, tuple) else (thresholds,)
    if not several:
        raise ValueError(f"`{name}` is empty: give at least one.")
    for threshold in several:
        check_number(name, threshold, lambda t: 0 <= t <= 1, "a number from 0 to 1, or a list of them")


def check_class_id(y_pred: Array, class_id: int | None) -> None:
    """Refuse predictions without such a class."""
    if class_id is not None and (y_pred.ndim < 2 or class_id >= y_pred.shape[-1]):
        raise ContractError(f"`y_pred` {array_name(y_pred)} has no class {class_id} along its last axis.")
