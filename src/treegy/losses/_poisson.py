"""The loss of counts that are Poisson distributed."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._terms._elementwise import EPSILON, matched, mean_over_last_axis
from .._terms._loss import Loss


def poisson(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood of counts under predicted rates, without the term that depends on the
    counts alone, averaged over the last axis,
    $\frac{1}{d}\sum_i \left(\hat y_i - y_i \log (\hat y_i + 10^{-7})\right)$.

    **Arguments:**

    - `y_true`: counts of the shape `(batch, ...)`. Integers will do.
    - `y_pred`: rates of the same shape, not negative: a negative rate gives NaN. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return mean_over_last_axis(y_pred - y_true * jnp.log(y_pred + EPSILON))


class Poisson(Loss):
    """The loss of counts that are Poisson distributed: [`treegy.losses.poisson`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Poisson()
        assert abs(loss(jnp.array([[0, 2]]), jnp.array([[1.0, 1.0]])) - 1) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return poisson(y_true, y_pred)
