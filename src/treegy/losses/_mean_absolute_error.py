"""The absolute error."""

from typing import ClassVar

from jaxtyping import Array, Float, Num, Shaped

from .._terms._elementwise import absolute, matched, mean_over_last_axis
from .._terms._loss import Loss


def mean_absolute_error(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The absolute error averaged over the last axis, $\frac{1}{d}\sum_i |y_i - \hat y_i|$.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return mean_over_last_axis(absolute(y_pred - y_true))


class MeanAbsoluteError(Loss):
    """The absolute error averaged over the last axis: [`treegy.losses.mean_absolute_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.MeanAbsoluteError()
        assert loss(jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.array([[3.0, 1.0], [1.0, 0.0]])) == 1
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_absolute_error(y_true, y_pred)
