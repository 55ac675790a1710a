"""The mean absolute error in percent of the labels."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._mean_absolute_percentage_error import mean_absolute_percentage_error


class MeanAbsolutePercentageError(Metric):
    """The mean of [`treegy.losses.mean_absolute_percentage_error`][], in percent.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanAbsolutePercentageError()
        assert float(error(jnp.array([2.0, 4.0]), jnp.array([1.0, 5.0]))) == 37.5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_absolute_percentage_error(y_true, y_pred)
