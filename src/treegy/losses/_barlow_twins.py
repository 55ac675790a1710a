"""Barlow Twins: the features of two views correlate with themselves, and not with each other."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_number
from .._terms._loss import Loss
from .._types import PyTree
from ._views import OF_STATISTICS, deviations, two_views


def barlow_twins(
    y_pred: PyTree,
    *,
    redundancy: ArrayLike = 5e-3,
    eps: ArrayLike = 1e-5,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""How far the correlations $C_{kl}$ of feature $k$ of one view and feature $l$ of the other are from the identity,

    $$
    \sum_k (1 - C_{kk})^2 + \lambda \sum_{k \ne l} C_{kl}^2, \qquad
    C_{kl} = \frac{\text{cov}(a_k, b_l)}{\sqrt{\text{var}(a_k) + \varepsilon} \sqrt{\text{var}(b_l) + \varepsilon}}
    $$

    with variances and covariances over the batch, divided by $n$.

    **Arguments:**

    - `y_pred`: embeddings `(one, other)`, each `(batch, d)`. Of float32, they count up to about $10^{18}$.
    - `redundancy`: $\lambda$.
    - `eps`: $\varepsilon > 0$, as that of batch normalization. A feature that doesn't vary has correlations of 0.
    - `sample_weight`: `(batch,)`; an example of weight 0 isn't in the correlations. The values aren't multiplied with
        it.

    **Returns:**

    One value per example `(batch,)`, the same for all: that of the batch, which depends on how examples are cut into
    batches.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape `(batch, d)`.

    ??? cite

        Zbontar et al., *Barlow Twins: Self-Supervised Learning via Redundancy Reduction*, ICML 2021.
    """
    one, other, there = two_views(y_pred, sample_weight)
    redundancy, eps = jnp.asarray(redundancy, one.dtype), jnp.asarray(eps, one.dtype)

    def normalized(view: Array) -> Array:
        # Within bounds, since the gradients of infinite variances would be NaN.
        bound = (float(jnp.finfo(view.dtype).max) / max(len(view), 1)) ** 0.5 / 4
        apart, count = deviations(jnp.clip(view, -bound, bound), there)
        apart = apart / jnp.sqrt(count)
        return apart * jax.lax.rsqrt(jnp.sum(apart**2, axis=0, keepdims=True) + eps)

    correlations = normalized(one).T @ normalized(other)
    own = jnp.eye(one.shape[1], dtype=bool)
    value = jnp.sum(jnp.where(own, (1 - correlations) ** 2, redundancy * correlations**2))
    return jnp.broadcast_to(value, (len(one),))


class BarlowTwins(Loss):
    r"""Features correlate with themselves alone: [`treegy.losses.barlow_twins`][].

    **Raises:** `ValueError` where `redundancy` is negative, or `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.BarlowTwins()
        spread = jnp.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        assert loss((spread, spread)) < 1e-6
        assert loss((jnp.ones((4, 2)), jnp.ones((4, 2)))) == 2
        ```
    """

    redundancy: ArrayLike = eqx.field(default=5e-3, kw_only=True)
    """How much it counts that different features correlate."""
    eps: ArrayLike = eqx.field(default=1e-5, kw_only=True)
    """What is added to variances."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_STATISTICS

    def __check_init__(self) -> None:
        check_number("redundancy", self.redundancy, lambda r: r >= 0, "a number that isn't negative")
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_pred: PyTree, sample_weight: PyTree = None) -> Float[Array, "batch"]:
        return barlow_twins(y_pred, redundancy=self.redundancy, eps=self.eps, sample_weight=sample_weight)
