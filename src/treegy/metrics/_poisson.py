"""The mean Poisson loss."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._poisson import poisson


class Poisson(Metric):
    """The mean of [`treegy.losses.poisson`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.Poisson()
        assert abs(float(metric(jnp.array([0, 3]), jnp.array([1.0, 1.0]))) - 1) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return poisson(y_true, y_pred)
