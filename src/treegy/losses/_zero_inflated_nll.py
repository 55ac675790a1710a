"""The loss of counts of which more are 0 than their distribution says."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from .._terms._elementwise import mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._negative_binomial_nll import negative_binomial_values
from ._several import several


def zero_inflated_nll(y_true: Shaped[Array, "..."], y_pred: PyTree) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood of counts that are 0 with the probability $\pi$, and else negative
    binomially distributed with the probabilities $p$, averaged over the last axis,

    $$
    -\frac{1}{d}\sum_i \log \left(\pi_i [y_i = 0] + (1 - \pi_i)\, p(y_i)\right).
    $$

    **Arguments:**

    - `y_true`: counts of the shape `(batch, ...)`. Integers will do; a negative one gives NaN.
    - `y_pred`: `(mean, dispersion, logit)`, each of that shape: those of [`treegy.losses.negative_binomial_nll`][] (a
        dispersion of 0 gives the zero-inflated Poisson distribution), and the logit of $\pi$. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't three arrays, or the shapes differ.

    ??? cite

        Lambert, *Zero-Inflated Poisson Regression, with an Application to Defects in Manufacturing*, Technometrics 34
        (1992).
    """
    mean, dispersion, logit, y = several(y_pred, ("mean", "dispersion", "logit"), y_true=y_true)
    counted = jax.nn.softplus(logit) + negative_binomial_values(y, mean, dispersion)
    # Selected before, since of a count that gives NaN the other branch would have a gradient that is.
    zero = jnp.where(y == 0, counted, jnp.zeros_like(counted))
    return mean_over_last_axis(jnp.where(y == 0, -jnp.logaddexp(-jax.nn.softplus(-logit), -zero), counted))


class ZeroInflatedNLL(Loss):
    r"""The negative logarithm of a zero-inflated negative binomial likelihood: [`treegy.losses.zero_inflated_nll`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.ZeroInflatedNLL()
        value = loss(jnp.array([0]), (jnp.array([1.0]), jnp.array([1.0]), jnp.array([0.0])))
        assert abs(value + jnp.log(0.5 + 0.5 * 0.5)) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return zero_inflated_nll(y_true, y_pred)
