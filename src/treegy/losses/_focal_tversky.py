"""The focal Tversky loss: a power of how little two regions overlap."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import integers
from .._terms._loss import Loss
from ._overlap import Axes, tversky


def focal_tversky(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    gamma: ArrayLike = 0.75,
    axis: Axes = None,
) -> Float[Array, "..."]:
    r"""A power of the Tversky loss, $(1 - T)^\gamma$ for the index $T$ of [`treegy.losses.tversky`][].

    **Arguments:**

    - `y_true`, `y_pred`, `axis`: as for [`treegy.losses.dice`][].
    - `alpha`: what is predicted and isn't there counts by it.
    - `beta`: what is there and isn't predicted counts by it. (The paper exchanges the two names.)
    - `gamma`: the power: below 1, gradients grow where regions overlap well. The paper's $\gamma$ of $4/3$ is its
        reciprocal.

    **Returns:** what [`treegy.losses.dice`][] does, and the same errors are raised.

    ??? cite

        Abraham and Khan, *A Novel Focal Tversky Loss Function with Improved Attention U-Net for Lesion Segmentation*,
        ISBI 2019.
    """
    loss = tversky(y_true, y_pred, alpha=alpha, beta=beta, axis=axis)
    positive = loss > 0
    # The slope of a power below 1 is infinite at 0, where a loss is that is smaller than a float can tell.
    return jnp.where(positive, jnp.where(positive, loss, 1) ** jnp.asarray(gamma, loss.dtype), 0)


class FocalTversky(Loss):
    """A power of the Tversky loss: [`treegy.losses.focal_tversky`][].

    **Raises:** `ValueError` where `alpha` or `beta` is negative, or `gamma` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true, y_pred = jnp.array([[1, 0, 0, 0]]), jnp.array([[1.0, 1.0, 0.0, 0.0]])
        loss = tg.losses.FocalTversky(alpha=1.0, beta=0.0, gamma=2.0)
        assert abs(loss(y_true, y_pred) - 0.5**2) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    alpha: ArrayLike = eqx.field(default=0.3, kw_only=True)
    """By how much what is predicted and isn't there counts."""
    beta: ArrayLike = eqx.field(default=0.7, kw_only=True)
    """By how much what is there and isn't predicted counts."""
    gamma: ArrayLike = eqx.field(default=0.75, kw_only=True)
    """The power, the reciprocal of the paper's."""
    axis: Axes = eqx.field(
        default=None, kw_only=True, static=True, converter=integers("axis", "an axis, or a list of them")
    )
    """The axis or axes that are summed over; by default all but that of the batch."""

    def __check_init__(self) -> None:
        check_number("alpha", self.alpha, lambda a: a >= 0, "a number from 0 on")
        check_number("beta", self.beta, lambda b: b >= 0, "a number from 0 on")
        check_number("gamma", self.gamma, lambda g: g > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return focal_tversky(y_true, y_pred, alpha=self.alpha, beta=self.beta, gamma=self.gamma, axis=self.axis)
