"""The boundary loss: how far from a region it is that something is predicted to belong to it."""

from typing import ClassVar

from jaxtyping import Array, Float, Shaped

from .._terms._elementwise import matched, mean_over_last_axis
from .._terms._loss import Loss


def boundary(y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""How far from a region it is that something is predicted to belong to it, averaged over the last axis,
    $\frac{1}{d} \sum_i \phi_i p_i$, where $\phi$ is the signed distance to its edge, negative within.

    It is usually added to a loss of regions, such as [`treegy.losses.dice`][], with a weight that grows.

    **Arguments:**

    - `y_true`: signed distances `(batch, ...)`, as [`treegy.losses.signed_distances`][] gives them: compute them once
        for a data set.
    - `y_pred`: probabilities of the same shape. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`. Negative where the region is found. Nothing is
    averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Kervadec et al., *Boundary Loss for Highly Unbalanced Segmentation*, MIDL 2019.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return mean_over_last_axis(y_true * y_pred)


class Boundary(Loss):
    """How far from a region it is that something is predicted to belong to it: [`treegy.losses.boundary`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        mask = jnp.zeros((1, 8, 8)).at[:, 2:5, 2:5].set(1)
        loss = tg.losses.Boundary()
        distances = tg.losses.signed_distances(mask)
        assert loss(distances, mask) < loss(distances, jnp.roll(mask, 1, axis=2)) < loss(distances, 1 - mask)
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return boundary(y_true, y_pred)
