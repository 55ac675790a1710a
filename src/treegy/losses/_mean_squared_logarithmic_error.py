"""The squared error of logarithms."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._terms._elementwise import EPSILON, absolute, matched, mean_over_last_axis
from .._terms._loss import Loss


def mean_squared_logarithmic_error(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The squared error of logarithms averaged over the last axis,
    $\frac{1}{d}\sum_i \left(\log(1 + y_i) - \log(1 + \hat y_i)\right)^2$.

    **Arguments:**

    - `y_true`, `y_pred`: numbers of the same shape `(batch, ...)`, not negative: those below $10^{-7}$ count as
        $10^{-7}$. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    y_true, y_pred = (jnp.maximum(y, EPSILON) for y in matched(y_true, y_pred))
    # The logarithm of the quotient, larger by smaller: the difference of logarithms would be rounded.
    distance = jnp.log1p(absolute(y_pred - y_true) / (1 + jnp.minimum(y_true, y_pred)))
    return mean_over_last_axis(distance**2)


class MeanSquaredLogarithmicError(Loss):
    """The squared error of logarithms: [`treegy.losses.mean_squared_logarithmic_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.MeanSquaredLogarithmicError()
        assert abs(loss(jnp.array([[0.0, 1.0]]), jnp.array([[1.0, 1.0]])) - jnp.log(2.0) ** 2 / 2) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_squared_logarithmic_error(y_true, y_pred)
