"""The mean Kullback-Leibler divergence."""

from typing import ClassVar

from jaxtyping import Array, Float, Shaped

from .._metric import Metric
from ..losses._kl_divergence import kl_divergence


class KLDivergence(Metric):
    """The mean of [`treegy.losses.kl_divergence`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        divergence = tg.metrics.KLDivergence()
        assert abs(float(divergence(jnp.array([[0.5, 0.5]]), jnp.array([[0.25, 0.75]]))) - 0.1438) < 1e-4
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return kl_divergence(y_true, y_pred)
