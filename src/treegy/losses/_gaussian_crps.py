"""The continuous ranked probability score of normal distributions."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._elementwise import absolute, mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._several import several

# Standard deviations from where on a normal distribution is over, to float32.
_FAR = 10.0


def gaussian_crps(y_true: Shaped[Array, "..."], y_pred: PyTree, *, eps: ArrayLike = 1e-6) -> Float[Array, "..."]:
    r"""The continuous ranked probability score of normal distributions, averaged over the last axis, in the unit of the
    labels,

    $$
    \frac{1}{d}\sum_i \sigma_i \left(z_i (2 \Phi(z_i) - 1) + 2 \varphi(z_i) - \frac{1}{\sqrt\pi}\right), \qquad
    z_i = \frac{y_i - \mu_i}{\sigma_i}.
    $$

    It is the integral of the squared difference between the distribution function and that of the label, and the
    absolute error where $\sigma = 0$. A label that is far off costs as much as its distance, where it costs the square
    of that in [`treegy.losses.gaussian_nll`][].

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: `(mean, variance)`: $\mu$ and $\sigma^2$, each of that shape. Nothing is broadcast. Variances below
        `eps` count as `eps`; a negative one gives NaN.
    - `eps`: the least variance.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays, or the shapes differ.

    ??? cite

        Gneiting and Raftery, *Strictly Proper Scoring Rules, Prediction, and Estimation*, JASA 102 (2007).
    """
    mean, variance, y_true = several(y_pred, ("mean", "variance"), y_true=y_true)
    deviation = jnp.sqrt(bounded(variance, eps))
    error = y_true - mean
    near = jnp.abs(error) < _FAR * deviation
    # Selected before, since the square of a quotient of large numbers, or its slope, may not be a number.
    z = jnp.where(near, error, jnp.zeros_like(error)) / deviation
    apart = jnp.where(near, error * jax.lax.erf(z * 0.5**0.5), absolute(error))
    density = jnp.where(near, jnp.exp(-(z**2) / 2) * (2 / math.pi) ** 0.5, jnp.zeros_like(z))
    values = apart + deviation * (density - math.pi**-0.5)
    return mean_over_last_axis(unless_negative(values, variance))


class GaussianCRPS(Loss):
    r"""The continuous ranked probability score of normal distributions: [`treegy.losses.gaussian_crps`][].

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.GaussianCRPS()
        assert abs(loss(jnp.array([1.0]), (jnp.array([1.0]), jnp.array([4.0]))) - 2 * 0.233695) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return gaussian_crps(y_true, y_pred, eps=self.eps)
