"""Scores of several outputs, and one figure of them all."""

import jax.numpy as jnp
from jaxtyping import Array

from .._accumulator import safe_divide
from .._describe import array_name, describe
from .._errors import ContractError
from ..losses._elementwise import matched

ClassAggregation = str | None

_AGGREGATIONS = ("uniform_average", "variance_weighted_average", None)


def check_class_aggregation(class_aggregation: object) -> None:
    if class_aggregation not in _AGGREGATIONS:
        raise ValueError(
            '`class_aggregation` is "uniform_average", "variance_weighted_average" or None, and got '
            f"{describe(class_aggregation)}."
        )


def outputs(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Labels and predictions `(batch, outputs)`, in one floating dtype.

    **Raises:** [`treegy.ContractError`][] where their shapes differ, or aren't `(batch,)` or `(batch, outputs)`.
    """
    y_true, y_pred = matched(y_true, y_pred)
    if y_pred.ndim not in (1, 2):
        raise ContractError(
            f"`y_true` and `y_pred` are {array_name(y_pred)}; shapes like (batch,) or (batch, outputs) are expected."
        )
    return y_true.reshape(len(y_true), -1), y_pred.reshape(len(y_pred), -1)


def explained(unexplained: Array, varying: Array, weight: Array) -> Array:
    r"""The part of the variation that is explained, $1 - u / v$.

    Where nothing varies it is 1 if nothing is left unexplained, else 0, as in scikit-learn; 0 without examples.
    """
    constant = jnp.where((unexplained == 0) & (weight > 0), 1, 0).astype(varying.dtype)
    return jnp.where(varying == 0, constant, 1 - safe_divide(unexplained, varying))


def aggregated(scores: Array, variances: Array, class_aggregation: ClassAggregation) -> Array:
    """The scores of several outputs as one figure, or as they are."""
    if class_aggregation is None:
        return scores
    total = jnp.sum(variances)
    if class_aggregation == "uniform_average":
        return jnp.mean(scores)
    return jnp.where(total == 0, jnp.mean(scores), safe_divide(jnp.sum(variances * scores), total))
