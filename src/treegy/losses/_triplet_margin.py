"""The loss of triplets: an anchor, something like it and something unlike it."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_number
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import absolute
from .._terms._loss import Loss
from .._terms._powers import exponent_of, times_power
from .._types import PyTree
from ._several import several


def triplet_margin(
    y_pred: PyTree, *, norm_degree: ArrayLike = 2, margin: ArrayLike = 1.0, eps: ArrayLike = 1e-6
) -> Float[Array, "..."]:
    r"""How far anchors are from being nearer to what is like them than to what is unlike them by a margin,
    $\max\left(\lVert a - p \rVert_k - \lVert a - n \rVert_k + m, 0\right)$ with
    $\lVert v \rVert_k = \left(\sum_i |v_i|^k + \varepsilon\right)^{1/k}$.

    **Arguments:**

    - `y_pred`: embeddings `(anchor, positive, negative)`, each `(batch, ..., d)`. A module that takes three inputs at
        once, `(3, ...)`, returns them as `tuple(jax.vmap(network)(x))`.
    - `norm_degree`: $k \ge 1$.
    - `margin`: $m$.
    - `eps`: $\varepsilon > 0$, which keeps gradients finite where a distance is 0.

    **Returns:**

    One value per triplet, `(batch, ...)`. In the dtype of the embeddings, at least float32. Nothing is averaged over
    examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't three arrays of the same shape.

    ??? cite

        Balntas et al., *Learning Local Feature Descriptors with Triplets and Shallow Convolutional Neural Networks*,
        BMVC 2016.
    """
    anchor, positive, negative = several(y_pred, ("anchor", "positive", "negative"))
    if anchor.ndim < 2:
        raise ContractError(
            f"`y_pred[0]` (the anchor) is {array_name(anchor)}, and vectors are expected: shapes like (batch, d)."
        )
    degree, margin, eps = (jnp.asarray(number, anchor.dtype) for number in (norm_degree, margin, eps))

    def distance(other: Array) -> Array:
        apart = jnp.minimum(absolute(anchor - other), jnp.finfo(anchor.dtype).max)
        # Scaled first, so that powers don't overflow.
        scale = jnp.maximum(exponent_of(jnp.max(apart, axis=-1)), 0)
        powers = jnp.sum(times_power(apart, -scale[..., None]) ** degree, axis=-1)
        least = eps * times_power(jnp.ones_like(powers), -scale) ** degree
        return times_power((powers + least) ** (1 / degree), scale)

    return jnp.maximum(distance(positive) - distance(negative) + margin, 0)


class TripletMargin(Loss):
    r"""The loss of triplets: [`treegy.losses.triplet_margin`][].

    **Raises:** `ValueError` where `norm_degree` is less than 1, or `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.TripletMargin(margin=0.5)
        anchor, positive, negative = jnp.zeros((2, 1)), jnp.array([[1.0], [3.0]]), jnp.array([[4.0], [2.0]])
        assert abs(loss((anchor, positive, negative)) - 0.75) < 1e-6
        ```
    """

    norm_degree: ArrayLike = eqx.field(default=2, kw_only=True)
    """By which norm distances are measured, at least 1."""
    margin: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """By how much the positive is to be nearer than the negative."""
    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """What is added under the root."""

    def __check_init__(self) -> None:
        check_number("norm_degree", self.norm_degree, lambda k: k >= 1, "a number from 1 on")
        check_number("margin", self.margin, lambda m: m == m, "a number")
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        return triplet_margin(y_pred, norm_degree=self.norm_degree, margin=self.margin, eps=self.eps)
