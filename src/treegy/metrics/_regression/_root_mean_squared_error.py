"""The root of the mean squared error."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._terms._accumulator import Mean
from ..._terms._metric import Metric
from ...losses._mean_squared_error import mean_squared_error
from .._accumulators._value_of import ValueOf


class RootMeanSquaredError(Metric):
    r"""The root of the mean squared error over all examples, $\sqrt{\sum w (y - \hat y)^2 / \sum w}$.

    It is the root of one mean, and not a mean of roots. `y_true` and `y_pred` are real numbers of the same shape
    `(batch, ...)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.RootMeanSquaredError()
        some, more = error(jnp.array([0.0, 0.0]), jnp.array([2.0, 2.0])), error(jnp.array([0.0]), jnp.array([5.0]))
        assert (float(some), float(more)) == (2, 5)
        assert abs(float(some.merge(more)) - 11**0.5) < 1e-6
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        return ValueOf(Mean.of(mean_squared_error(y_true, y_pred), sample_weight), jnp.sqrt)
