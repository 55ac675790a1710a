"""The likelihood of times that are cut into intervals."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import is_integer
from .._terms._loss import Loss
from ._survival import survival


def discrete_hazards(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "batch"]:
    r"""Minus the logarithm of the likelihood of what happened in which interval of time,
    $-\sum_{k < \kappa} \log (1 - h_k) - \log h_\kappa$, or $-\sum_{k \le \kappa} \log (1 - h_k)$ if it didn't happen
    until the end of the interval $\kappa$. $h_k = 1 / (1 + e^{-z_k})$ is how likely it is to happen in the interval $k$
    if it hasn't before.

    **Arguments:**

    - `y_true`: integers `(batch, 2)`: the interval $\kappa$ from 0 to $K - 1$, and 1 if it happened then, or 0 if it
        hadn't happened until its end. `jnp.digitize` makes intervals of times.
    - `y_pred`: logits $z$, `(batch, K)`.

    **Returns:**

    One value per example, `(batch,)`: NaN where the interval is out of range, or the second column neither 0 nor 1. In
    the dtype of `y_pred`, at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Gensheimer and Narasimhan, *A Scalable Discrete-Time Survival Model for Neural Networks*, PeerJ 7 (2019).
    """
    it = survival(y_true, y_pred, 2, "logits of each interval, (batch, intervals)")
    if not is_integer(y_true):
        raise ContractError(
            f"`y_true` is {array_name(y_true)}, and intervals of an integer dtype are expected. `jnp.digitize` makes "
            "them of times."
        )
    logits = it.predicted
    interval = y_true[:, :1].astype(jnp.int32)
    place = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    happened = (place == interval) & it.event[:, None]
    each = jax.nn.softplus(jnp.where(happened, -logits, logits))
    values = jnp.sum(jnp.where(place <= interval, each, 0), axis=1)
    outside = (interval[:, 0] < 0) | (interval[:, 0] >= logits.shape[1])
    return jnp.where(outside | it.unknown, jnp.nan, values)


class DiscreteHazards(Loss):
    r"""The likelihood of what happened in which interval of time: [`treegy.losses.discrete_hazards`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        times, happened = jnp.array([1.5, 9.0]), jnp.array([1, 0])
        y_true = jnp.stack([jnp.digitize(times, jnp.array([1.0, 2.0])), happened], axis=1)
        # Over two intervals, and over three.
        assert abs(tg.losses.DiscreteHazards()(y_true, jnp.zeros((2, 3))) - 2.5 * jnp.log(2)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return discrete_hazards(y_true, y_pred)
