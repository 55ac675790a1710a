"""Errors in percent: of the mean of label and prediction, or of the sum of all labels."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._accumulator import Mean, safe_divide
from ..._terms._elementwise import absolute, matched, mean_over_last_axis
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from .._accumulators._value_of import ValueOf


class SymmetricMeanAbsolutePercentageError(Metric):
    r"""The mean of $200\,|y - \hat y| / (|y| + |\hat y|)$, in percent from 0 to 200: sMAPE.

    It is 0 where label and prediction both are 0, so that nothing is added to the denominator. `y_true` and `y_pred`
    are real numbers of the same shape `(batch, ...)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Makridakis, *Accuracy Measures: Theoretical and Practical Concerns*, International Journal of Forecasting 9
        (1993).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.SymmetricMeanAbsolutePercentageError()
        assert float(error(jnp.array([1.0, 0.0]), jnp.array([3.0, 0.0]))) == 50
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        y_true, y_pred = matched(y_true, y_pred)
        # Halves, since the sum of two large numbers may not fit.
        mean = absolute(y_true) / 2 + absolute(y_pred) / 2
        return mean_over_last_axis(100 * safe_divide(absolute(y_true - y_pred), mean))


class WeightedMeanAbsolutePercentageError(Metric):
    r"""All errors together in percent of all labels together, $100 \sum_i w_i |y_i - \hat y_i| / \sum_i w_i |y_i|$:
    WMAPE, also called WAPE.

    It is a quotient of two sums over the whole data, and no mean of quotients: a label of 0 does no harm. 0 where all
    labels are. `y_true` and `y_pred` are real numbers of the same shape `(batch, ...)`; weights are `(batch,)`, or of
    that shape.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Kolassa and Schütz, *Advantages of the MAD/Mean Ratio over the MAPE*, Foresight 6 (2007).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.WeightedMeanAbsolutePercentageError()
        some, more = error(jnp.array([1.0]), jnp.array([3.0])), error(jnp.array([0.0, 7.0]), jnp.array([1.0, 6.0]))
        assert float(some.merge(more)) == 50
        ```
    """

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        y_true, y_pred = matched(y_true, y_pred)
        errors, labels = (jnp.sum(weigh(absolute(of), sample_weight)[0]) for of in (y_true - y_pred, y_true))
        return ValueOf(Mean(errors, labels), _in_percent)


def _in_percent(share: Array) -> Array:
    return 100 * share
