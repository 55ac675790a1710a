"""The mean squared hinge loss of two classes."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._hinge import squared_hinge


class SquaredHinge(Metric):
    """The mean of [`treegy.losses.squared_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.SquaredHinge()
        assert float(metric(jnp.array([1, -1]), jnp.array([3.0, 1.0]))) == 2
        ```
    """

    predictions: ClassVar[str | None] = "margins"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return squared_hinge(y_true, y_pred)
