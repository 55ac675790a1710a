"""The mean cosine of the angle between vectors."""

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import integer
from ..._terms._metric import Metric
from ...losses._cosine_similarity import cosine_similarity


class CosineSimilarity(Metric):
    """The mean cosine of the angle between vectors: positive, unlike [`treegy.losses.cosine_similarity`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        similarity = tg.metrics.CosineSimilarity()
        batch = similarity(jnp.array([[0.0, 1.0], [1.0, 1.0]]), jnp.array([[0.0, 2.0], [-3.0, 3.0]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis along which the vectors lie."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return -cosine_similarity(y_true, y_pred, axis=self.axis)
