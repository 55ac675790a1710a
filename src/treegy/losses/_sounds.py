"""How large a sound is against what is wrong with it, in decibel."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._describe import array_name
from .._errors import ContractError
from .._terms._accumulator import safe_divide
from .._terms._elementwise import matched
from .._terms._powers import without_unit

FLOOR = 2.0**-23
"""What share of the one counts in the other at least: so no ratio is beyond 69.2 decibel. That of PyTorch's float32."""


def sounds(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], zero_mean: bool) -> tuple[Array, Array]:
    """`y_true` and `y_pred` `(batch, ..., time)` in floats, without a unit.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of time.
    """
    y, p = matched(y_true, y_pred)
    if p.ndim < 2:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has no axis of time besides that of the batch: shapes like (batch, time) "
            "are expected."
        )
    if zero_mean:
        y, p = (a - jnp.mean(a, axis=-1, keepdims=True) for a in (y, p))
    y, p = without_unit([y, p], -1)
    return y, p


def decibel(signal: Float[Array, "..."], noise: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return how much larger the energy of a signal is than that of a noise, along the last axis.

    Each counts with at least `FLOOR` of the other: what is exact, and what is nothing but noise, are finite and have
    finite gradients. Where both are 0 it is 0.
    """
    return decibel_of_energies(jnp.sum(signal**2, axis=-1), jnp.sum(noise**2, axis=-1))


def decibel_of_energies(of_signal: Float[Array, "..."], of_noise: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return how much larger an energy is than another one, as `decibel` does."""
    upper, lower = of_signal + FLOOR * of_noise, of_noise + FLOOR * of_signal
    return 10 * jnp.log10(jnp.where(upper == 0, 1, safe_divide(upper, lower)))
