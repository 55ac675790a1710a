"""The absolute error in percent."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._terms._elementwise import EPSILON, absolute, matched, mean_over_last_axis
from .._terms._loss import Loss


def mean_absolute_percentage_error(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The absolute error in percent of the true value, averaged over the last axis,
    $\frac{100}{d}\sum_i |y_i - \hat y_i| / \max(|y_i|, 10^{-7})$.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return mean_over_last_axis(100 * absolute(y_pred - y_true) / jnp.maximum(jnp.abs(y_true), EPSILON))


class MeanAbsolutePercentageError(Loss):
    """The absolute error in percent: [`treegy.losses.mean_absolute_percentage_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.MeanAbsolutePercentageError()
        assert loss(jnp.array([[4.0, -2.0]]), jnp.array([[3.0, -3.0]])) == 37.5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_absolute_percentage_error(y_true, y_pred)
