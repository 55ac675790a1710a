"""Labels and predictions as class indices, from whatever form they come in."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._classes import class_axis, class_labels
from ..._terms._elementwise import check_same_shape, is_integer, matched
from ..._terms._weights import as_summand

NO_CLASS = -(2**31)
"""What stands for a label or prediction that is NaN, or that has no class; nobody's `ignore_class`."""


class Indices(NamedTuple):
    """Class indices `(batch, ...)` of labels and predictions, signed; any that isn't from 0 on is out of range."""

    y_true: Array
    y_pred: Array
    num_classes: int


def class_indices(
    y_true: Array, y_pred: Array, *, num_classes: int | None = None, threshold: ArrayLike | None = None
) -> Indices:
    """Return the class indices of labels and predictions, in the form that their shapes and dtypes say.

    **Arguments:**

    - `y_true`, `y_pred`: with a `threshold`, labels that are 0 or 1 and predictions of the same shape. Else, floating
        `y_pred` `(batch, ..., classes)` are scores, of which the first largest is predicted, and `y_true` is either
        one-hot, of the same shape, or class indices `(batch, ...)`. Any other `y_pred` holds class indices as `y_true`
        does.
    - `num_classes`: how many classes there are; needed where there are no scores.
    - `threshold`: predictions above it stand for class 1 of two.

    **Raises:** [`treegy.ContractError`][] where they have none of these forms, or another number of classes.
    """
    if threshold is not None:
        y, p = matched(y_true, y_pred)
        exact = is_integer(y_true) or y_true.dtype == bool
        labels = as_indices(y_true, "y_true") if exact else _where(y == jnp.floor(y), y)
        return Indices(labels, _where(~jnp.isnan(p), p > jnp.asarray(threshold, p.dtype)), 2)
    if jnp.issubdtype(y_pred.dtype, jnp.floating):
        _check_scores(y_true, y_pred)
        if y_true.shape == y_pred.shape:
            class_axis(y_true, y_pred)
            labels = labeled_class(y_true, -1)
        else:
            labels = class_labels(y_true, y_pred)
        check_width(y_pred, -1, num_classes, "y_pred")
        return Indices(labels, scored_class(y_pred, -1), y_pred.shape[-1])
    check_same_shape(y_true, y_pred)
    labels, predictions = as_indices(y_true, "y_true"), as_indices(y_pred, "y_pred")
    if num_classes is None:
        raise ContractError(
            f"`num_classes` is needed where `y_pred` {array_name(y_pred)} holds class indices. Pass it to the metric."
        )
    return Indices(labels, predictions, num_classes)


def holds_class_indices(y_true: Array, y_pred: Array) -> bool:
    """Whether labels are class indices and predictions scores of several classes, to go by their shapes and dtypes."""
    return is_integer(y_true) and y_true.ndim > 0 and y_true.shape == y_pred.shape[:-1] and y_pred.shape[-1] > 1


def indices_or_scores(y_true: Array, y_pred: Array) -> tuple[bool, bool] | None:
    """Whether labels, and whether predictions, hold class indices to `class_indices` without a threshold; None where
    they fit no form of it."""
    if not jnp.issubdtype(y_pred.dtype, jnp.floating):
        exact = all(is_integer(a) or a.dtype == bool for a in (y_true, y_pred))
        return (True, True) if exact and y_true.shape == y_pred.shape else None
    if holds_class_indices(y_true, y_pred):
        return True, False
    return (False, False) if y_true.shape == y_pred.shape and y_pred.ndim > 1 and y_pred.shape[-1] > 1 else None


def as_indices(values: Array, name: str, mend: str = "") -> Array:
    """Return class indices in a signed dtype.

    **Raises:** [`treegy.ContractError`][] where they are neither integers nor booleans.
    """
    if not (is_integer(values) or values.dtype == bool):
        raise ContractError(f"`{name}` {array_name(values)} must hold class indices, of an integer dtype.{mend}")
    # Small and unsigned integers couldn't be compared with -1 or with the number of classes.
    return values if values.dtype == jnp.int64 else values.astype(jnp.int32)


def check_width(values: Array, axis: int, num_classes: int | None, name: str) -> None:
    if num_classes is not None and values.shape[axis] != num_classes:
        raise ContractError(
            f"`{name}` {array_name(values)} is of {values.shape[axis]} classes along axis {axis}, and `num_classes` is "
            f"{num_classes}."
        )


def scored_class(scores: Array, axis: int) -> Array:
    """Return the index of the first of the largest scores along an axis; that of no class where one is NaN."""
    return _where(~jnp.any(jnp.isnan(scores), axis=axis), jnp.argmax(scores, axis=axis))


def labeled_class(labels: Array, axis: int) -> Array:
    """Return the index of the largest entry of one-hot labels; that of no class where there is none, or NaN.

    Zeros alone are what `jax.nn.one_hot` makes of a label that isn't a class.
    """
    labels = as_summand(labels)
    return _where(jnp.max(labels, axis=axis) > 0, jnp.argmax(labels, axis=axis))


def _where(valid: Array, index: Array) -> Array:
    return jnp.where(valid, index.astype(jnp.int32), NO_CLASS)


def _check_scores(y_true: Array, y_pred: Array) -> None:
    if y_pred.ndim == 1 or (y_true.shape == y_pred.shape and y_pred.shape[-1] == 1):
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has no scores of several classes along its last axis. For two classes that "
            "are predicted by one number, pass `threshold=0.5` to the metric."
        )
