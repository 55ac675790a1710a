"""The mean logarithm of the hyperbolic cosine of errors."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._log_cosh import log_cosh


class LogCoshError(Metric):
    """The mean of [`treegy.losses.log_cosh`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.LogCoshError()
        assert abs(float(error(jnp.array([0.0, 0.0]), jnp.array([0.0, 1.0]))) - 0.21689) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return log_cosh(y_true, y_pred)
