"""The mean squared error."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._mean_squared_error import mean_squared_error


class MeanSquaredError(Metric):
    """The mean of [`treegy.losses.mean_squared_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanSquaredError()
        assert float(error(jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0]))) == 2
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_squared_error(y_true, y_pred)
