"""How much better predictions are than the median of the labels."""

import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Kept, OfPairs, Pairs


class D2AbsoluteError(OfPairs):
    r"""How much of the absolute error of the median is explained,
    $D^2 = 1 - \sum_i w_i |y_i - \hat y_i| / \sum_i w_i |y_i - \text{median}(y)|$.

    It is to the absolute error what [`treegy.metrics.R2Score`][] is to the squared one. Of labels that don't vary it is
    1 if they are predicted exactly, else 0, as in scikit-learn; of no examples, 0.

    The median can't be had from sums: the values themselves are kept, of up to `capacity` examples, as in
    [`treegy.metrics.SpearmanCorrelation`][]. More examples make it NaN.

    `y_true` and `y_pred` are real numbers of the same shape `(batch, ...)`; the scores of several outputs are averaged.

    **Raises:** what [`treegy.metrics.SpearmanCorrelation`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.D2AbsoluteError(capacity=10)
        y_true, y_pred = jnp.array([3.0, -0.5, 2.0, 7.0]), jnp.array([2.5, 0.0, 2.0, 8.0])
        assert abs(float(score(y_true, y_pred)) - 0.764706) < 1e-5
        ```
    """

    def _metric_value(self, accumulated: Pairs) -> ValueOf:
        return ValueOf(accumulated, _d2_absolute_error)


def _d2_absolute_error(pairs: Kept) -> Array:
    return jnp.mean(pairs.value(_score))


def _score(y_true: Array, y_pred: Array, weight: Array) -> Array:
    # What isn't there comes last.
    order = jnp.argsort(jnp.where(weight != 0, y_true, jnp.inf))
    below = jnp.cumsum(weight[order])
    # Between the two middle values all are medians, and the sum is the same.
    median = y_true[order][jnp.argmax(below >= below[-1] / 2)]
    unexplained, varying = (jnp.sum(weight * jnp.abs(y_true - of)) for of in (y_pred, jnp.full_like(y_true, median)))
    constant = jnp.where((unexplained == 0) & (below[-1] > 0), jnp.ones_like(varying), jnp.zeros_like(varying))
    return jnp.where(varying == 0, constant, 1 - safe_divide(unexplained, varying))
