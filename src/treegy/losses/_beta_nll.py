"""The normal likelihood whose variance doesn't keep the mean from being learnt."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._elementwise import mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._gaussian_nll import gaussian_values
from ._several import several


def beta_nll(
    y_true: Shaped[Array, "..."], y_pred: PyTree, *, beta: ArrayLike = 0.5, eps: ArrayLike = 1e-6
) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood under normal distributions, each multiplied with a power of its
    variance and averaged over the last axis,
    $\frac{1}{2d}\sum_i v_i^\beta \left(\log v_i + (y_i - \mu_i)^2 / v_i\right)$.

    The factor counts as a constant in gradients. Where a large variance has been predicted, the likelihood alone hardly
    moves the mean; with $\beta = 1$ means are moved as by the squared error, and with $\beta = 0$ it is
    [`treegy.losses.gaussian_nll`][]. The values themselves aren't a likelihood: watch that as a metric.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: `(mean, variance)`: $\mu$ and $v$, each of that shape. Nothing is broadcast. Variances below `eps` count
        as `eps`; a negative one gives NaN.
    - `beta`: $\beta$, from 0 to 1.
    - `eps`: the least variance.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays, or the shapes differ.

    ??? cite

        Seitzer et al., *On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks*,
        ICLR 2022.
    """
    mean, variance, y_true = several(y_pred, ("mean", "variance"), y_true=y_true)
    v = bounded(variance, eps)
    factor = jax.lax.stop_gradient(v ** jnp.asarray(beta, v.dtype))
    return mean_over_last_axis(unless_negative(factor * gaussian_values(y_true, mean, v), variance))


class BetaNLL(Loss):
    r"""The normal likelihood weighted by a power of its variance: [`treegy.losses.beta_nll`][]. It has nothing to do
    with the beta distribution.

    **Raises:** `ValueError` where `beta` isn't from 0 to 1, or `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.BetaNLL(beta=1.0)
        assert loss(jnp.array([2.0]), (jnp.array([0.0]), jnp.array([1.0]))) == 2
        ```
    """

    elementwise: ClassVar[bool] = True

    beta: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """The power of the variance, from 0 to 1."""
    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("beta", self.beta, lambda b: 0 <= b <= 1, "a number from 0 to 1")
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return beta_nll(y_true, y_pred, beta=self.beta, eps=self.eps)
