"""Deviances of numbers that aren't negative."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._tweedie_deviance import as_power, tweedie_deviance


class TweedieDeviance(Metric):
    """The mean of [`treegy.losses.tweedie_deviance`][].

    **Raises:** `ValueError` where `power` is between 0 and 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        deviance = tg.metrics.TweedieDeviance(power=1)  # that of Poisson
        assert float(deviance(jnp.array([0, 2]), jnp.array([1.0, 2.0]))) == 1
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    # Static, since the formula depends on it.
    power: float = eqx.field(static=True, converter=as_power)
    """The power of the mean that the variance is: 0 or less, or 1 or more."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return tweedie_deviance(y_true, y_pred, power=self.power)


class GammaDeviance(Metric):
    r"""The mean of $2 (\log (\hat y / y) + y / \hat y - 1)$, of positive numbers: [`treegy.losses.tweedie_deviance`][]
    with a power of 2. It depends on the quotient of label and prediction alone.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        deviance = tg.metrics.GammaDeviance()
        assert abs(float(deviance(jnp.array([1.0]), jnp.array([2.0]))) - 0.386294) < 1e-5
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return tweedie_deviance(y_true, y_pred, power=2.0)
