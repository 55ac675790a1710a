"""The axis of classes, and labels that are an index along it: what categorical losses and metrics share."""

import jax.numpy as jnp
from jaxtyping import Array

from .._describe import array_name
from .._errors import ContractError
from ._elementwise import check_same_shape, inner_axis, is_integer
from ._weights import Masked


def class_labels(y_true: Array, y_pred: Array, axis: int = -1) -> Array:
    """Labels `(batch, ...)` that are indices along the axis of classes of `y_pred` `(batch, ..., classes)`, signed.

    **Raises:** [`treegy.ContractError`][] where they can't be that, by shape or dtype, or there is no such axis.
    """
    front = inner_axis(y_pred, axis, "classes") if y_pred.ndim > 1 else 0
    without, last = y_pred.shape[:front] + y_pred.shape[front + 1 :], front == y_pred.ndim - 1
    both = f"`y_true` {array_name(y_true)} must hold a class index for each `y_pred` {array_name(y_pred)}"
    if y_true.shape == (*without, 1) and last:
        raise ContractError(f"{both}: its last axis of length 1 is one too many. Pass `y_true[..., 0]`.")
    if y_true.shape == y_pred.shape and y_true.ndim > 1:
        raise ContractError(f"{both}. For one-hot labels there is the categorical loss or metric that isn't sparse.")
    if y_pred.ndim < 2 or y_true.shape != without:
        beside = f"the shape {without} of its other axes than {axis} is"
        shapes = "shapes like (batch,) and (batch, classes) are" if last else beside
        raise ContractError(f"{both}: {shapes} expected.")
    if not is_integer(y_true):
        raise ContractError(f"{both}, of an integer dtype. Pass `y_true.astype(jnp.int32)` if that is what it holds.")
    _check_several(y_pred, front)
    # Small and unsigned integers couldn't be compared with -1 or with the number of classes.
    return y_true if y_true.dtype == jnp.int64 else y_true.astype(jnp.int32)


def without_class(
    values: Array, y_true: Array, y_pred: Array, ignore_class: int | None, axis: int = -1
) -> Array | Masked:
    """Return values `(batch, ...)` of which those don't count whose label is `ignore_class`: that there is none."""
    if ignore_class is None:
        return values
    return Masked(values, class_labels(y_true, y_pred, axis) != ignore_class)


def check_classes_last(y_true: Array, y_pred: Array, axis: int) -> None:
    """Refuse scores whose classes come first, to go by the shape of the labels, where `axis` says they are last."""
    last = axis in (-1, y_pred.ndim - 1)
    if last and y_pred.ndim > 2 and y_true.shape == y_pred.shape[:1] + y_pred.shape[2:] != y_pred.shape[:-1]:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has its classes first, to go by `y_true` {array_name(y_true)}: pass "
            "`axis=1`."
        )


def class_axis(y_true: Array, y_pred: Array, axis: int = -1) -> int:
    """Return the axis of classes, counted from the front, of labels and predictions of the same shape.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, where there is no such axis or where it is the
    batch, and where it has one class only.
    """
    check_same_shape(y_true, y_pred)
    front = inner_axis(y_pred, axis, "classes")
    _check_several(y_pred, front)
    return front


def _check_several(y_pred: Array, axis: int) -> None:
    if y_pred.shape[axis] == 1:
        # A distribution over one class is always right: such a loss would be 0 whatever is predicted.
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has one class only. For two classes predicted by one number there are the "
            "binary losses and metrics."
        )


def within(labels: Array, classes: int) -> tuple[Array, Array]:
    """Whether `labels` are from 0 to `classes` - 1, and `labels` with 0 for those that aren't.

    Outside there is nothing to gather; a negative index would count from the end.
    """
    inside = (labels >= 0) & (labels < classes)
    return inside, jnp.where(inside, labels, jnp.zeros_like(labels))
