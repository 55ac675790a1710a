"""The mean squared error of logarithms."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._mean_squared_logarithmic_error import mean_squared_logarithmic_error


class MeanSquaredLogarithmicError(Metric):
    """The mean of [`treegy.losses.mean_squared_logarithmic_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanSquaredLogarithmicError()
        assert abs(float(error(jnp.array([1.0]), jnp.array([jnp.e * 2 - 1]))) - 1) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_squared_logarithmic_error(y_true, y_pred)
