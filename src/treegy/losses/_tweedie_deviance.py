"""The deviance of numbers that aren't negative: counts, amounts, and amounts of which many are 0."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from .._converters import fixed_number
from .._terms._elementwise import EPSILON, matched, mean_over_last_axis
from .._terms._loss import Loss
from ._bounded import bounded, unless_negative
from ._unit_deviance import unit_deviance

as_power = fixed_number("power", "a number that isn't between 0 and 1", lambda p: p <= 0 or p >= 1)


def tweedie_deviance(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, power: float | int
) -> Float[Array, "..."]:
    r"""The deviance of Tweedie distributions whose variance is $\mu^p$, averaged over the last axis,

    $$
    \frac{2}{d}\sum_i \left(\frac{\max(y_i, 0)^{2-p}}{(1-p)(2-p)} - \frac{y_i \hat y_i^{1-p}}{1-p}
    + \frac{\hat y_i^{2-p}}{2-p}\right),
    $$

    twice the negative logarithm of the likelihood, but for what depends on the labels alone. It is 0 where predictions
    are right. A power of 0 is the normal distribution (the squared error), 1 that of Poisson, between 1 and 2 amounts
    of which many are 0, 2 the gamma and 3 the inverse normal distribution.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`. From a power of 1 on a negative one gives NaN, from 2 on a 0
        is infinitely unlikely.
    - `y_pred`: means of the same shape. But for a power of 0, those below $10^{-7}$ count as $10^{-7}$, and negative
        ones give NaN. Nothing is broadcast.
    - `power`: $p$: 0 or less, or 1 or more.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ. `ValueError` where there is no such power.

    ??? cite

        Jørgensen, *Exponential Dispersion Models*, Journal of the Royal Statistical Society B 49 (1987).
    """
    return mean_over_last_axis(tweedie_values(*matched(y_true, y_pred), as_power(power)))


def tweedie_values(y_true: Array, y_pred: Array, power: float) -> Array:
    """Return the deviance of each element."""
    if power == 0:
        return unit_deviance(y_true, y_pred, power)
    values = unless_negative(unit_deviance(y_true, bounded(y_pred, EPSILON), power), y_pred)
    return unless_negative(values, y_true) if power >= 1 else values


class TweedieDeviance(Loss):
    r"""The deviance of a Tweedie distribution: [`treegy.losses.tweedie_deviance`][].

    **Raises:** `ValueError` where `power` is between 0 and 1, of which there is no such distribution.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.TweedieDeviance(power=1.5)  # of insurance claims, most of which are 0
        assert loss(jnp.array([0.0]), jnp.array([4.0])) == 8
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    # Static, since the formula depends on it.
    power: float = eqx.field(static=True, converter=as_power)
    """The power of the mean that the variance is: 0 or less, or 1 or more."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return tweedie_deviance(y_true, y_pred, power=self.power)
