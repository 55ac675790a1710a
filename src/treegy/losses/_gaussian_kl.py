"""The divergence of normal distributions from the standard one: what a variational autoencoder's code costs."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_number
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._several import several


def gaussian_kl(y_pred: PyTree, *, eps: ArrayLike = 1e-6) -> Float[Array, "..."]:
    r"""How far normal distributions are from the standard one, summed over the last axis,
    $\frac12 \sum_i \left(\mu_i^2 + v_i - 1 - \log v_i\right)$.

    **Arguments:**

    - `y_pred`: `(mean, variance)`: $\mu$ and $v$, each `(batch, ..., d)`; of a network that gives logarithms of
        variances, `jnp.exp` of these. Variances below `eps` count as `eps`; a negative one gives NaN.
    - `eps`: the least variance.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape.

    ??? cite

        Kingma and Welling, *Auto-Encoding Variational Bayes*, ICLR 2014.
    """
    mean, variance = several(y_pred, ("mean", "variance"))
    v = bounded(variance, eps)
    values = unless_negative((mean**2 + (v - 1 - jnp.log(v))) / 2, variance)
    return jnp.sum(values, axis=-1) if values.ndim > 1 else values


class GaussianKL(Loss):
    r"""The divergence from the standard normal distribution: [`treegy.losses.gaussian_kl`][].

    A $\beta$, also one that grows with the steps, is its `weight`.

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.GaussianKL(weight=0.5)
        assert loss((jnp.zeros((1, 3)), jnp.ones((1, 3)))) == 0
        assert loss((jnp.ones((1, 3)), jnp.ones((1, 3)))) == 0.75
        ```
    """

    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        return gaussian_kl(y_pred, eps=self.eps)
