"""Metric values of how two variables vary together: along an axis of each example, or over the examples."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._elementwise import matched
from .._accumulators._moments import Moments, Statistics
from .._accumulators._value_of import ValueOf


def along(y_true: Array, y_pred: Array, axis: int) -> Statistics:
    """Return the statistics of labels and predictions along an axis.

    **Raises:** [`treegy.ContractError`][] where the shapes differ or there is no such axis.
    """
    y_true, y_pred = matched(y_true, y_pred)
    front = _front(y_pred, axis)
    return Moments.of((jnp.moveaxis(y_true, front, 0), jnp.moveaxis(y_pred, front, 0))).compute()


def correlated(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    axis: int,
    metric_value: Callable[[Statistics], Array],
) -> Array | ValueOf:
    """Return a metric value along `axis`: one per example, or an accumulator where that is the axis of the examples.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`.
    - `sample_weight`: lines up with their leading axes. Only looked at where the metric value is over the examples.
    - `axis`: the axis along which they vary.
    - `metric value`: what is made of the statistics of the two.

    **Raises:** [`treegy.ContractError`][] where the shapes differ or there is no such axis, and where it is of length
    1 without being that of the examples.
    """
    y_true, y_pred = matched(y_true, y_pred)
    front = _front(y_pred, axis)
    if front == 0:
        return ValueOf(Moments.of((y_true, y_pred), sample_weight), metric_value)
    if y_pred.shape[front] == 1:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has one element along `axis={axis}`, which varies with nothing. Pass "
            "`axis=0` for a metric value over all examples."
        )
    return metric_value(along(y_true, y_pred, axis))


def _front(y_pred: Array, axis: int) -> int:
    front = axis + y_pred.ndim if axis < 0 else axis
    if not 0 <= front < y_pred.ndim:
        raise ContractError(f"`y_pred` {array_name(y_pred)} has no axis {axis}.")
    return front
