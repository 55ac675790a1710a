"""The loss of labels some of which are far off: the negative logarithm of a likelihood of Student's t."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._elementwise import mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._several import several
from ._stirling import HALF_LOG_2_PI, stirling_error

# From where on the distribution is the normal one, to float32.
_NORMAL = 1e7
# From where on the logarithm of 1 plus a square is that of the square.
_FAR = 1e4


def student_nll(y_true: Shaped[Array, "..."], y_pred: PyTree, *, eps: ArrayLike = 1e-6) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood under Student's t distributions, averaged over the last axis,

    $$
    \frac{1}{d}\sum_i \left(\frac{\nu_i + 1}{2} \log\left(1 + \frac{z_i^2}{\nu_i}\right) + \log \sigma_i
    + \log \frac{\sqrt{\nu_i \pi}\, \Gamma(\nu_i / 2)}{\Gamma((\nu_i + 1) / 2)}\right), \qquad
    z_i = \frac{y_i - \mu_i}{\sigma_i}.
    $$

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: `(location, scale, degrees)`: $\mu$, $\sigma$ and the degrees of freedom $\nu$, each of that shape.
        Nothing is broadcast. Scales and degrees below `eps` count as `eps`, and degrees beyond $10^7$ as $10^7$; a
        negative scale or degree gives NaN.
    - `eps`: the least scale, and the least degrees of freedom.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't three arrays, or the shapes differ.

    ??? cite

        Lange, Little and Taylor, *Robust Statistical Modeling Using the t Distribution*, JASA 84 (1989).
    """
    location, scale, degrees, y = several(y_pred, ("location", "scale", "degrees"), y_true=y_true)
    values = student_t_values(y - location, bounded(scale, eps), bounded(degrees, eps, _NORMAL))
    return mean_over_last_axis(unless_negative(values, scale, degrees))


def student_t_values(errors: Array, scale: Array, degrees: Array) -> Array:
    """Return the value of each element, of parameters that are bounded."""
    half = degrees / 2
    # The logarithm of the quotient of the gamma functions, each less its main part.
    constant = 0.5 - half * jnp.log1p(1 / degrees) + stirling_error(half) - stirling_error(half + 0.5) + HALF_LOG_2_PI
    # The square of a large quotient may not fit, and its logarithm does.
    length = scale * jnp.sqrt(degrees)
    near = jnp.abs(errors) < _FAR * length
    quotient = jnp.where(near, errors, jnp.zeros_like(errors)) / length
    far = 2 * (jnp.log(jnp.abs(jnp.where(near, jnp.ones_like(errors), errors))) - jnp.log(length))
    return (degrees + 1) / 2 * jnp.where(near, jnp.log1p(quotient**2), far) + jnp.log(scale) + constant


class StudentNLL(Loss):
    r"""The negative logarithm of a likelihood of Student's t: [`treegy.losses.student_nll`][].

    Other than under a normal distribution, a label that is far off is no surprise, and hardly moves the mean.

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss, one = tg.losses.StudentNLL(), jnp.ones(1)
        assert abs(loss(2 * one, (one, one, one)) - jnp.log(2 * jnp.pi)) < 1e-5  # Cauchy's distribution
        ```
    """

    elementwise: ClassVar[bool] = True

    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least scale, and the least degrees of freedom."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return student_nll(y_true, y_pred, eps=self.eps)
