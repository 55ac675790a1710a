"""Scores of several outputs, and one metric value of them all."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import OneOf
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import matched
from ..._terms._powers import LOWEST, times_power

ClassAggregation = str | None

as_class_aggregation = OneOf[ClassAggregation](
    "class_aggregation", "uniform_average", "variance_weighted_average", None
)


def outputs(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return labels and predictions `(batch, outputs)`, in one floating dtype.

    **Raises:** [`treegy.ContractError`][] where their shapes differ, or aren't `(batch,)` or `(batch, outputs)`.
    """
    y_true, y_pred = matched(y_true, y_pred)
    if y_pred.ndim not in (1, 2):
        raise ContractError(
            f"`y_true` and `y_pred` are {array_name(y_pred)}; shapes like (batch,) or (batch, outputs) are expected."
        )
    return y_true.reshape(len(y_true), -1), y_pred.reshape(len(y_pred), -1)


class Scaled(NamedTuple):
    """Numbers that may be too small or too large to be one, of one kind for each output."""

    values: Array
    exponents: Array
    """The numbers are `values` times 2 to the power of these."""


def explained(unexplained: Scaled, varying: Scaled, weight: Array) -> Array:
    r"""Return the part of the variation that is explained, $1 - u / v$.

    Where nothing varies it is 1 if nothing is left unexplained, else 0, as in scikit-learn; 0 without examples.
    """
    quotient = safe_divide(unexplained.values, varying.values)
    quotient = times_power(quotient, unexplained.exponents - varying.exponents)
    constant = jnp.where((unexplained.values == 0) & (weight > 0), 1, 0).astype(quotient.dtype)
    return jnp.where(varying.values == 0, constant, 1 - quotient)


def aggregated(scores: Array, variances: Scaled, class_aggregation: ClassAggregation) -> Array:
    """Return the scores of several outputs as one metric value, or as they are."""
    if class_aggregation is None:
        return scores
    if class_aggregation == "uniform_average":
        return jnp.mean(scores)
    varies = variances.values != 0
    largest = jnp.max(jnp.where(varies, variances.exponents, LOWEST))
    shares = times_power(variances.values, jnp.where(varies, variances.exponents - largest, 0))
    total = jnp.sum(shares)
    return jnp.where(total == 0, jnp.mean(scores), safe_divide(jnp.sum(shares * scores), total))
