"""How far a positive number is from another on the scale of a Tweedie distribution."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

# Up to where the series is used, and how many of its terms: the rest is below what float32 rounds.
_NEAR, _TERMS = 0.25, 11


def unit_deviance(y: Float[Array, "..."], mean: Float[Array, "..."], power: float) -> Float[Array, "..."]:
    r"""The unit deviance of the Tweedie distribution whose variance is $\mu^p$,
    $d(y, \mu) = 2\int_\mu^y (y - t) t^{-p} dt$.

    It is never negative, and as exact near $y = \mu$ as elsewhere: there it is summed up as a series of
    $\delta = y / \mu - 1$, since the formula would be the difference of almost equal numbers.

    **Arguments:**

    - `y`: not negative, unless `power` is 0; infinite where it is 0 and `power` at least 2.
    - `mean`: positive, unless `power` is 0.
    - `power`: $p$, a Python number, since the formula depends on it.
    """
    if power == 0:
        return (y - mean) ** 2
    delta = (y - mean) / mean
    near = jnp.abs(delta) < _NEAR
    # Selected before, since gradients of what isn't selected must be finite, too.
    delta = jnp.where(near, delta, jnp.zeros_like(delta))
    coefficients = [math.prod(-(power + i) / (i + 1) for i in range(k)) / ((k + 1) * (k + 2)) for k in range(_TERMS)]
    series = jnp.zeros_like(delta)
    for coefficient in reversed(coefficients):
        series = series * delta + coefficient
    series = delta**2 * series * mean ** (2 - power)
    return 2 * jnp.where(near, series, _far(y, mean, power))


def _far(y: Array, mean: Array, power: float) -> Array:
    some = y > 0
    positive = jnp.where(some, y, jnp.ones_like(y))
    if power == 1:
        return jnp.where(some, y * _log_ratio(positive, mean), jnp.zeros_like(y)) - y + mean
    if power == 2:
        return jnp.where(some, -_log_ratio(positive, mean), jnp.full_like(y, jnp.inf)) + (y - mean) / mean
    of_zero = jnp.zeros_like(y) if power < 2 else jnp.full_like(y, jnp.inf)
    of_label = jnp.where(some, positive ** (2 - power), of_zero) / abs((1 - power) * (2 - power))
    of_label = of_label if (1 - power) * (2 - power) > 0 else -of_label
    return of_label - y * mean ** (1 - power) / (1 - power) + mean ** (2 - power) / (2 - power)


def _log_ratio(a: Array, b: Array) -> Array:
    # The ratio of numbers of other magnitudes may not fit; of others, logarithms are rounded too coarsely.
    alike = (a < 10 * b) & (b < 10 * a)
    return jnp.where(alike, jnp.log(jnp.where(alike, a, b) / b), jnp.log(a) - jnp.log(b))
