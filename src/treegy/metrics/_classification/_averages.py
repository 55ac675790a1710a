"""Ratios of each class, and their averages over classes."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import OneOf, fixed_number
from ..._terms._accumulator import safe_divide

Average: TypeAlias = Literal["micro", "macro", "weighted"] | None
"""How the ratios of classes are averaged, as `ratio` has it."""

as_average = OneOf[Average]("average", "micro", "macro", "weighted", None)


def ratio(
    numerator: Float[Array, "*shape classes"],
    denominator: Float[Array, "*shape classes"],
    support: Float[Array, "*shape classes"],
    average: Average,
    zero_division: float,
) -> Float[Array, "..."]:
    """Return the ratio of each class, averaged over the last axis.

    **Arguments:**

    - `numerator`, `denominator`: of each class.
    - `support`: how often each class is the label.
    - `average`: `None` for a ratio of each class; `"micro"` for that of the sums over classes; `"macro"` for the mean
        of the ratios, `"weighted"` for that weighted by support.
    - `zero_division`: what a ratio is whose denominator is 0. One that is NaN is left out of the mean.
    """
    if average == "micro":
        return _quotient(jnp.sum(numerator, axis=-1), jnp.sum(denominator, axis=-1), zero_division)
    values = _quotient(numerator, denominator, zero_division)
    if average is None:
        return values
    weight = support if average == "weighted" else jnp.ones_like(values)
    if math.isnan(zero_division):
        undefined = denominator == 0
        weight = jnp.where(undefined, jnp.zeros_like(weight), weight)
        values = jnp.where(undefined, jnp.zeros_like(values), values)
    return _quotient(jnp.sum(weight * values, axis=-1), jnp.sum(weight, axis=-1), zero_division)


def _quotient(numerator: Array, denominator: Array, zero_division: float) -> Array:
    return jnp.where(denominator == 0, zero_division, safe_divide(numerator, denominator))


def check_average(average: Average, class_id: int | None, of_one: Sequence[Average] = ("micro",)) -> None:
    """Refuse an average that isn't among `of_one` where there is one class only."""
    if average not in of_one and class_id is not None:
        raise ValueError(
            f"`average={average!r}` is about all classes, and `class_id={class_id}` looks at one only: leave out one "
            "of the two."
        )


_as_zero_or_one = fixed_number(
    "zero_division", "0, 1 or NaN, what a ratio is whose denominator is 0", lambda z: z in (0, 1) or math.isnan(z)
)


def as_zero_division(zero_division: float) -> float:
    """Return a Python float; always the same NaN, since another one wouldn't equal it."""
    found = _as_zero_or_one(zero_division)
    return math.nan if math.isnan(found) else found
