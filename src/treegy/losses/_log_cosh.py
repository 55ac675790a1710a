"""The logarithm of the hyperbolic cosine of the error."""

import math
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._terms._elementwise import absolute, matched, mean_over_last_axis
from .._terms._loss import Loss


def log_cosh(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The logarithm of the hyperbolic cosine of the error, averaged over the last axis,
    $\frac{1}{d}\sum_i \log \cosh (\hat y_i - y_i)$.

    About half the squared error where that is small, and $|\hat y_i - y_i| - \log 2$ where it is large.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Chen et al., *Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder* (2019).
    """
    y_true, y_pred = matched(y_true, y_pred)
    error = absolute(y_pred - y_true)
    # Of small errors the difference of logarithms would be what rounding left of it.
    small = jnp.log1p(2 * jnp.sinh(jnp.minimum(error, 1) / 2) ** 2)
    return mean_over_last_axis(jnp.where(error < 1, small, error - math.log(2) + jnp.log1p(jnp.exp(-2 * error))))


class LogCosh(Loss):
    """The logarithm of the hyperbolic cosine of the error: [`treegy.losses.log_cosh`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.LogCosh()
        assert abs(loss(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]])) - jnp.log(jnp.cosh(1.0)) / 2) < 1e-6
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return log_cosh(y_true, y_pred)
