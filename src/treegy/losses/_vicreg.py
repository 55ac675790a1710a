"""VICReg: two views are alike, and the embeddings of a batch vary in all directions."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_number
from .._terms._loss import Loss
from .._types import PyTree
from ._views import OF_STATISTICS, deviations, two_views


def vicreg(
    y_pred: PyTree,
    *,
    invariance: ArrayLike = 25.0,
    variance: ArrayLike = 25.0,
    covariance: ArrayLike = 1.0,
    gamma: ArrayLike = 1.0,
    eps: ArrayLike = 1e-4,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""Draws two views of each example together, keeps the standard deviation of each of the $d$ features above
    $\gamma$, and their covariances at 0. With the covariances $C^a, C^b$ of the views over the batch,

    $$
    \frac{\lambda}{d} \lVert a_i - b_i \rVert^2 + \sum_{z \in \{a, b\}}
    \left(\frac{\mu}{2 d} \sum_k \max\left(\gamma - \sqrt{C^z_{kk} + \varepsilon}, 0\right)
    + \frac{\nu}{d} \sum_{k \ne l} (C^z_{kl})^2\right)
    $$

    **Arguments:**

    - `y_pred`: embeddings `(one, other)`, each `(batch, d)`.
    - `invariance`, `variance`, `covariance`: $\lambda$, $\mu$ and $\nu$.
    - `gamma`: $\gamma$.
    - `eps`: $\varepsilon > 0$.
    - `sample_weight`: `(batch,)`; an example of weight 0 isn't in the covariances. The values aren't multiplied with
        it.

    **Returns:**

    One value per example `(batch,)`, infinite where embeddings of float32 are beyond about $10^8$. What isn't about
    the two views of one example is the same for all, and depends on how examples are cut into batches. Covariances are
    divided by $n - 1$, and 0 of one example. As in the authors' code, differences are averaged over the features and
    the variance over the views.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape `(batch, d)`.

    ??? cite

        Bardes et al., *VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning*, ICLR 2022.
    """
    one, other, there = two_views(y_pred, sample_weight)
    size = one.shape[1]
    # Fourth powers overflow early, and the gradients of infinities would be NaN.
    bound = (float(jnp.finfo(one.dtype).max) / (1000 * size)) ** 0.25
    largest = jnp.maximum(jnp.max(jnp.abs(one), initial=0), jnp.max(jnp.abs(other), initial=0))
    one, other = jnp.clip(one, -bound, bound), jnp.clip(other, -bound, bound)
    invariance, variance, covariance, gamma, eps = (
        jnp.asarray(number, one.dtype) for number in (invariance, variance, covariance, gamma, eps)
    )
    values = invariance * jnp.mean((one - other) ** 2, axis=1)
    for view in (one, other):
        apart, count = deviations(view, there)
        covariances = apart.T @ apart / jnp.maximum(count - 1, 1)
        spread = jnp.mean(jnp.maximum(gamma - jnp.sqrt(jnp.diagonal(covariances) + eps), 0))
        together = jnp.sum(jnp.where(jnp.eye(size, dtype=bool), 0, covariances) ** 2) / size
        values = values + variance / 2 * spread + covariance * together
    return jnp.where(largest > bound, jnp.full_like(values, jnp.inf), values)


class VICReg(Loss):
    r"""Two views are alike and features vary: [`treegy.losses.vicreg`][].

    **Raises:** `ValueError` where `eps` isn't positive, or another of its numbers is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.VICReg()
        spread = jnp.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        assert loss((spread, spread)) == 0
        # Collapsed to a point, embeddings don't vary.
        assert abs(loss((jnp.ones((4, 2)), jnp.ones((4, 2)))) - 25 * 0.99) < 1e-4
        ```
    """

    invariance: ArrayLike = eqx.field(default=25.0, kw_only=True)
    """How much the difference of the views counts."""
    variance: ArrayLike = eqx.field(default=25.0, kw_only=True)
    """How much it counts that features vary too little."""
    covariance: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """How much it counts that they vary together."""
    gamma: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """From which standard deviation on they vary enough."""
    eps: ArrayLike = eqx.field(default=1e-4, kw_only=True)
    """What is added to variances."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_STATISTICS

    def __check_init__(self) -> None:
        for name in ("invariance", "variance", "covariance", "gamma"):
            check_number(name, getattr(self, name), lambda number: number >= 0, "a number that isn't negative")
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_pred: PyTree, sample_weight: PyTree = None) -> Float[Array, "batch"]:
        return vicreg(
            y_pred,
            invariance=self.invariance,
            variance=self.variance,
            covariance=self.covariance,
            gamma=self.gamma,
            eps=self.eps,
            sample_weight=sample_weight,
        )
