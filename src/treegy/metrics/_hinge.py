"""The mean hinge loss of two classes."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._hinge import hinge


class Hinge(Metric):
    """The mean of [`treegy.losses.hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.Hinge()
        assert float(metric(jnp.array([1, -1]), jnp.array([3.0, -0.5]))) == 0.25
        ```
    """

    predictions: ClassVar[str | None] = "margins"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return hinge(y_true, y_pred)
