"""The Charbonnier loss: an absolute error that is smooth at 0."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._elementwise import matched, mean_over_last_axis
from .._terms._loss import Loss
from .._terms._powers import exponent_of, times_power


def charbonnier(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, eps: ArrayLike = 1e-3
) -> Float[Array, "..."]:
    r"""An absolute error that is smooth at 0, averaged over the last axis,
    $\frac{1}{d}\sum_i \sqrt{(y_i - \hat y_i)^2 + \varepsilon^2}$.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`. Nothing is broadcast.
    - `eps`: $\varepsilon$, in the unit of the values: below it errors count by their squares. It is the least value.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Charbonnier et al., *Two Deterministic Half-Quadratic Regularization Algorithms for Computed Imaging*, ICIP
        1994.
    """
    y_true, y_pred = matched(y_true, y_pred)
    error = y_pred - y_true
    eps = jnp.full_like(error, jnp.asarray(eps, error.dtype))
    # Divided by a power of two, so that squares of what is large don't overflow.
    exponent = exponent_of(jnp.maximum(jnp.abs(error), eps))
    root = jnp.sqrt(times_power(error, -exponent) ** 2 + times_power(eps, -exponent) ** 2)
    return mean_over_last_axis(times_power(root, exponent))


class Charbonnier(Loss):
    r"""An absolute error that is smooth at 0: [`treegy.losses.charbonnier`][].

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Charbonnier(eps=3.0)
        assert loss(jnp.array([0.0]), jnp.array([4.0])) == 5
        ```
    """

    elementwise: ClassVar[bool] = True

    eps: ArrayLike = eqx.field(default=1e-3, kw_only=True)
    """The error, in the unit of the values, below which it counts by its square."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return charbonnier(y_true, y_pred, eps=self.eps)
