"""The Huber loss."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._elementwise import matched, mean_over_last_axis
from .._terms._loss import Loss


def huber(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, delta: ArrayLike = 1.0) -> Float[Array, "..."]:
    r"""The Huber loss averaged over the last axis: squared for small errors $e = \hat y - y$, linear for large ones,

    $$
    \frac{1}{d}\sum_i \begin{cases}
        \frac12 e_i^2 & \text{if } |e_i| \le \delta, \\
        \delta |e_i| - \frac12 \delta^2 & \text{otherwise.}
    \end{cases}
    $$

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`. Nothing is broadcast.
    - `delta`: the error $\delta > 0$ from which on it is linear.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Huber, *Robust Estimation of a Location Parameter*, Annals of Mathematical Statistics 35 (1964).
    """
    y_true, y_pred = matched(y_true, y_pred)
    return mean_over_last_axis(optax.losses.huber_loss(y_pred, y_true, delta=jnp.asarray(delta, y_pred.dtype)))


class Huber(Loss):
    r"""The Huber loss averaged over the last axis: [`treegy.losses.huber`][].

    **Raises:** `ValueError` where `delta` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Huber(delta=2.0)
        assert loss(jnp.array([0.0, 0.0]), jnp.array([1.0, 4.0]), sample_weight=jnp.array([1.0, 0.0])) == 0.25
        ```
    """

    elementwise: ClassVar[bool] = True

    delta: ArrayLike = eqx.field(default=1.0, kw_only=True)
    r"""The error $\delta > 0$ from which on the loss is linear."""

    def __check_init__(self) -> None:
        check_number("delta", self.delta, lambda d: d > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return huber(y_true, y_pred, delta=self.delta)
