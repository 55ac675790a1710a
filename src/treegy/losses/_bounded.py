"""Parameters of distributions that must be positive: bounded where they are too small or too large to compute with."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def bounded(values: Float[Array, "..."], least: ArrayLike, most: float | None = None) -> Float[Array, "..."]:
    """Return `values`, at least `least` and at most `most`.

    Selected, since the slope of a maximum is a product, which is NaN where a gradient is infinite.
    """
    least = jnp.asarray(least, values.dtype)
    values = jnp.where(values < least, least, values)
    return values if most is None else jnp.where(values > most, jnp.asarray(most, values.dtype), values)


def unless_negative(values: Float[Array, "..."], *parameters: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `values`, NaN where one of the parameters, of the same shape, is negative."""
    for parameter in parameters:
        values = jnp.where(parameter < 0, jnp.full_like(values, jnp.nan), values)
    return values
