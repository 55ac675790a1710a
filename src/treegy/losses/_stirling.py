"""Logarithms of gamma functions less their main part, so that differences of them aren't those of large numbers."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

HALF_LOG_2_PI = math.log(2 * math.pi) / 2

# From where on the series is as exact as float32.
_LARGE = 3


def stirling_error(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Return how far Stirling's formula is from the logarithm of the gamma function,
    $\log \Gamma(x) - (x - \frac12) \log x + x - \frac12 \log 2\pi$, of a positive number.

    ??? cite

        Loader, *Fast and Accurate Computation of Binomial Probabilities* (2000).
    """
    large = x >= _LARGE
    small = jnp.where(large, jnp.ones_like(x), x)
    inverse = 1 / jnp.where(large, x, small + _LARGE)
    series = jnp.zeros_like(x)
    for coefficient in (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * inverse**2 + coefficient
    series = series * inverse
    # By how much that of a number differs from that of the next: a logarithm of the gamma function itself would cancel.
    steps = [(small + i + 0.5) * jnp.log1p(1 / (small + i)) - 1 for i in range(_LARGE)]
    return jnp.where(large, series, series + sum(steps))
