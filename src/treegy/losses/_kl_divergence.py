"""The Kullback-Leibler divergence."""

from typing import ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from .._terms._classes import class_axis
from .._terms._elementwise import EPSILON, in_floats
from .._terms._loss import Loss


def kl_divergence(y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""How far one distribution is from another, $\sum_c y_c \log (y_c / p_c)$.

    **Arguments:**

    - `y_true`: probabilities $y$ of the shape `(batch, ..., classes)`. Booleans and integers will do.
    - `y_pred`: probabilities $p$ of the same shape. Both are clipped to $[10^{-7}, 1]$, and neither is divided by its
        sum.

    **Returns:**

    One value per distribution, `(batch, ...)`. In the dtype of the arguments, at least float32. Nothing is averaged
    over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no last axis of several classes.

    ??? cite

        Kullback and Leibler, *On Information and Sufficiency*, Annals of Mathematical Statistics 22 (1951).
    """
    axis = class_axis(y_true, y_pred)
    y_true, y_pred = (jnp.clip(y, EPSILON, 1) for y in in_floats(y_true, y_pred))
    return optax.losses.kl_divergence(jnp.log(y_pred), y_true, axis=axis)


class KLDivergence(Loss):
    """The Kullback-Leibler divergence of distributions: [`treegy.losses.kl_divergence`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.KLDivergence()
        assert abs(loss(jnp.array([[0.5, 0.5]]), jnp.array([[0.25, 0.75]])) - 0.1438) < 1e-4
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return kl_divergence(y_true, y_pred)
