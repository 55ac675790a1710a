"""Counts of right and wrong predictions of two classes, of which figures such as precision and recall are made."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._accumulator import Accumulator, Sum, accumulation_dtype, weigh
from .._describe import array_name
from .._errors import ContractError
from ..losses._elementwise import matched
from ..losses._number import check_number

Thresholds = ArrayLike | Sequence[ArrayLike]


class Confusion(Accumulator):
    """How many predictions were right and wrong, by label: weighted counts, scalars or one for each threshold.

    Each is a [`treegy.Sum`][], which stays exact however long the epoch is.
    """

    true_positives: Sum
    false_positives: Sum
    false_negatives: Sum
    true_negatives: Sum
    figure: Callable[[Any], Array] = eqx.field(static=True)
    """What `compute` makes of the counts."""

    def empty(self) -> "Confusion":
        return Confusion(*(count.empty() for count in self._counts()), figure=self.figure)

    def merge(self, other: Any) -> "Confusion":
        pairs = zip(self._counts(), other._counts(), strict=True)
        return Confusion(*(mine.merge(theirs) for mine, theirs in pairs), figure=self.figure)

    def compute(self) -> Array:
        return self.figure(self)

    def _counts(self) -> tuple[Sum, Sum, Sum, Sum]:
        return self.true_positives, self.false_positives, self.false_negatives, self.true_negatives


def confusion(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    thresholds: Thresholds,
    class_id: int | None,
    figure: Callable[[Confusion], Array],
) -> Confusion:
    """The counts of a batch.

    **Arguments:**

    - `y_true`: labels `(batch, ...)`: 0 is negative, anything else positive.
    - `y_pred`: predictions of the same shape: above a threshold they are positive.
    - `sample_weight`: lines up with the leading axes of the labels.
    - `thresholds`: a number, or several: then there is a count for each.
    - `class_id`: the only class that is looked at, an index along the last axis. All by default.
    - `figure`: what is made of the counts.

    **Raises:** [`treegy.ContractError`][] where the shapes don't fit.
    """
    y_true, y_pred = matched(y_true, y_pred)
    if class_id is not None:
        if y_pred.ndim < 2 or not 0 <= class_id < y_pred.shape[-1]:
            raise ContractError(f"`y_pred` {array_name(y_pred)} has no class {class_id} along its last axis.")
        y_true, y_pred = y_true[..., class_id], y_pred[..., class_id]
    positive = y_true != 0
    _, weights, _ = weigh(jnp.zeros(y_pred.shape, y_pred.dtype), sample_weight)

    def count(which: Array) -> Array:
        if sample_weight is None:
            return jnp.sum(which, dtype=jnp.int32)  # in floats, a sum of ones ends at 2^24
        return jnp.sum(jnp.where(which, weights, jnp.zeros_like(weights)))

    def counts(threshold: Array) -> tuple[Array, Array, Array, Array]:
        predicted = y_pred > threshold
        return (
            count(positive & predicted),
            count(~positive & predicted),
            count(positive & ~predicted),
            count(~positive & ~predicted),
        )

    at = jnp.asarray(thresholds, y_pred.dtype)
    found = counts(at) if at.ndim == 0 else jax.vmap(counts)(at)
    return Confusion(*(Sum(n.astype(accumulation_dtype(y_pred.dtype))) for n in found), figure=figure)


def as_thresholds(thresholds: Any) -> Any:
    """One half where no thresholds were given, and a tuple of several."""
    if thresholds is None:
        return 0.5
    return tuple(thresholds) if isinstance(thresholds, list) else thresholds


def check_thresholds(thresholds: Any, class_id: int | None) -> None:
    several = thresholds if isinstance(thresholds, tuple) else (thresholds,)
    if not several:
        raise ValueError("`thresholds` is empty: give at least one.")
    for threshold in several:
        check_number("thresholds", threshold, lambda t: 0 <= t <= 1, "a number from 0 to 1, or a list of them")
    if class_id is not None and class_id < 0:
        raise ValueError(f"`class_id` is an index along the last axis from 0 on, and got {class_id}.")
