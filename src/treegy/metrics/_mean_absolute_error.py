"""The mean absolute error."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._mean_absolute_error import mean_absolute_error


class MeanAbsoluteError(Metric):
    """The mean of [`treegy.losses.mean_absolute_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanAbsoluteError()
        assert float(error(jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0]))) == 1
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_absolute_error(y_true, y_pred)
