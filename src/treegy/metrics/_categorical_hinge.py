"""The mean hinge loss of several classes."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._metric import Metric
from ..losses._categorical_hinge import categorical_hinge


class CategoricalHinge(Metric):
    """The mean of [`treegy.losses.categorical_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.CategoricalHinge()
        assert float(metric(jnp.array([[0, 1], [1, 0]]), jnp.array([[0.5, 1.0], [3.0, 1.0]]))) == 0.25
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_hinge(y_true, y_pred)
