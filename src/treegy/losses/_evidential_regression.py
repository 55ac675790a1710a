"""The loss of predictions that say how much evidence there is for them."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._elementwise import absolute, mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._several import several
from ._student_nll import student_t_values

# From where on the distribution is the normal one, to float32.
_NORMAL = 5e6


def evidential_regression(
    y_true: Shaped[Array, "..."], y_pred: PyTree, *, coefficient: ArrayLike = 0.01, eps: ArrayLike = 1e-6
) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood under a normal distribution whose mean and variance are uncertain, and
    a penalty on evidence where the prediction is wrong, averaged over the last axis,

    $$
    \frac{1}{d}\sum_i \left(-\log \text{St}\left(y_i; \gamma_i, \frac{\beta_i (1 + \nu_i)}{\nu_i \alpha_i}, 2 \alpha_i
    \right) + \lambda |y_i - \gamma_i| (2 \nu_i + \alpha_i)\right),
    $$

    where $\text{St}(y; \mu, \sigma^2, n)$ is the density of Student's t with $n$ degrees of freedom. The predicted
    variance of the data is $\beta / (\alpha - 1)$ and that of the mean $\beta / (\nu (\alpha - 1))$, if $\alpha > 1$.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: `(gamma, nu, alpha, beta)`: $\gamma$, $\nu$, $\alpha$ and $\beta$, each of that shape. Nothing is
        broadcast. The last three count as at least `eps`; a negative one gives NaN.
    - `coefficient`: $\lambda$, not negative.
    - `eps`: the least $\nu$, $\alpha$ and $\beta$.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't four arrays, or the shapes differ.

    ??? cite

        Amini et al., *Deep Evidential Regression*, NeurIPS 2020.
    """
    gamma, nu, alpha, beta, y = several(y_pred, ("gamma", "nu", "alpha", "beta"), y_true=y_true)
    evidence, shape, rate = bounded(nu, eps), bounded(alpha, eps), bounded(beta, eps)
    # Of logarithms, since products of large numbers may not fit.
    scale = jnp.exp((jnp.log(rate) + jnp.log1p(1 / evidence) - jnp.log(shape)) / 2)
    likelihood = student_t_values(y - gamma, scale, 2 * bounded(shape, eps, _NORMAL))
    weight = jnp.asarray(coefficient, y.dtype)
    values = likelihood + absolute(y - gamma) * (2 * weight * evidence + weight * shape)
    return mean_over_last_axis(unless_negative(values, nu, alpha, beta))


class EvidentialRegression(Loss):
    r"""The loss of deep evidential regression: [`treegy.losses.evidential_regression`][].

    **Raises:** `ValueError` where `coefficient` is negative, or `eps` isn't positive.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        def head(raw):  # of a network's four outputs
            gamma, nu, alpha, beta = raw
            return gamma, jax.nn.softplus(nu), 1 + jax.nn.softplus(alpha), jax.nn.softplus(beta)

        loss = tg.losses.EvidentialRegression()
        near, far = (loss(jnp.array([y]), head(jnp.zeros((4, 1)))) for y in (0.1, 5.0))
        assert near < far
        ```
    """

    elementwise: ClassVar[bool] = True

    coefficient: ArrayLike = eqx.field(default=0.01, kw_only=True)
    """How much evidence costs where the prediction is wrong."""
    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least of what must be positive."""

    def __check_init__(self) -> None:
        check_number("coefficient", self.coefficient, lambda c: c >= 0, "a number from 0 on")
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return evidential_regression(y_true, y_pred, coefficient=self.coefficient, eps=self.eps)
