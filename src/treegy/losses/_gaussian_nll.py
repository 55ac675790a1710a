"""The loss of predictions that say how uncertain they are: the negative logarithm of a normal likelihood."""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import flag
from .._terms._elementwise import mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._several import several


def gaussian_nll(
    y_true: Shaped[Array, "..."], y_pred: PyTree, *, full: bool = False, eps: ArrayLike = 1e-6
) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood under normal distributions, averaged over the last axis,
    $\frac{1}{2d}\sum_i \left(\log v_i + (y_i - \mu_i)^2 / v_i\right)$.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: `(mean, variance)`: $\mu$ and $v$, each of that shape. Nothing is broadcast. Variances below `eps` count
        as `eps`; a negative one gives NaN.
    - `full`: whether the constant $\frac12 \log 2\pi$ is added.
    - `eps`: the least variance.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays, or the shapes differ.

    ??? cite

        Nix and Weigend, *Estimating the Mean and Variance of the Target Probability Distribution*, ICNN 1994.
    """
    mean, variance, y_true = several(y_pred, ("mean", "variance"), y_true=y_true)
    values = gaussian_values(y_true, mean, bounded(variance, eps)) + (0.5 * math.log(2 * math.pi) if full else 0)
    return mean_over_last_axis(unless_negative(values, variance))


def gaussian_values(y: Array, mean: Array, variance: Array) -> Array:
    """Return the value of each element, without the constant."""
    # The square of the quotient, since the square of the error alone may overflow.
    return (jnp.log(variance) + ((y - mean) / jnp.sqrt(variance)) ** 2) / 2


class GaussianNLL(Loss):
    r"""The negative logarithm of a normal likelihood: [`treegy.losses.gaussian_nll`][].

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import treegy as tg

        class Uncertain(eqx.Module):
            linear: eqx.nn.Linear

            def __call__(self, x):
                mean, raw = jnp.split(self.linear(x), 2)
                return mean, jax.nn.softplus(raw)

        network = Uncertain(eqx.nn.Linear(3, 4, key=jax.random.key(0)))
        model = tg.Model(network, loss=tg.losses.GaussianNLL())
        model.check(jnp.zeros((8, 3)), jnp.zeros((8, 2)))

        loss = tg.losses.GaussianNLL()
        assert loss(jnp.array([1.0]), (jnp.array([0.0]), jnp.array([1.0]))) == 0.5
        ```
    """

    elementwise: ClassVar[bool] = True

    full: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("full"))
    r"""Whether the constant $\frac12 \log 2\pi$ is added."""
    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return gaussian_nll(y_true, y_pred, full=self.full, eps=self.eps)
