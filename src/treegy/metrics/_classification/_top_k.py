"""The largest predictions along the axis of classes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._elementwise import computed_once


def among_top(y_pred: Array, k: int) -> Array:
    """Return which of the predictions `(batch, ..., classes)` are the `k` largest ones: of equal ones, the first.

    **Raises:** [`treegy.ContractError`][] where there are fewer than `k` classes.
    """
    check_classes("top_k", k, y_pred)
    _, at = jax.lax.top_k(y_pred, k)
    return jnp.any(jax.nn.one_hot(at, y_pred.shape[-1], dtype=bool), axis=-2)


def is_among_top(y_pred: Array, labels: Array, k: int) -> Array:
    """Whether fewer than `k` predictions `(batch, ..., classes)` are larger than that of the label `(batch, ...)`.

    Equal ones aren't larger, and NaN is. A label that isn't a class is never among the top.
    """
    y_pred = computed_once(y_pred)
    inside = (labels >= 0) & (labels < y_pred.shape[-1])
    own = jnp.take_along_axis(y_pred, jnp.where(inside, labels, jnp.zeros_like(labels))[..., None], axis=-1)
    larger = jnp.sum(~(y_pred <= own), axis=-1, dtype=jnp.int32)
    return inside & (larger < k)


def check_classes(name: str, k: int, y_pred: Array) -> None:
    if y_pred.ndim < 2:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has no axis of classes, of which `{name}={k}` is about the largest: shapes "
            "like (batch, classes) are expected."
        )
    if k > y_pred.shape[-1]:
        raise ContractError(
            f"`{name}={k}` is more than the {y_pred.shape[-1]} classes of `y_pred` {array_name(y_pred)}: every label "
            "would be among the largest."
        )
