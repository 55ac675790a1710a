"""The focal loss of two classes, of logits."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import integer
from .._terms._elementwise import matched, mean_over_axis
from .._terms._loss import Loss


def sigmoid_focal(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    alpha: ArrayLike | None = None,
    gamma: ArrayLike = 2.0,
    axis: int = -1,
) -> Float[Array, "..."]:
    r"""The crossentropy of two classes in which what is right already counts little, averaged over one axis,

    $$
    \frac{1}{d}\sum_i \alpha_i (1 - p_i)^\gamma \cdot -\left(y_i \log \sigma(z_i) + (1 - y_i) \log \sigma(-z_i)\right)
    $$

    where $p_i = y_i \sigma(z_i) + (1 - y_i) \sigma(-z_i)$ is the probability of the label.

    **Arguments:**

    - `y_true`: 0 or 1 (or numbers between them), of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: logits $z$ of the same shape.
    - `alpha`: the weight of class 1, from 0 to 1; that of class 0 is $1 - \alpha$. Both are 1 by default.
    - `gamma`: $\gamma \ge 0$, how little counts what is right; with 0 this is the crossentropy.
    - `axis`: the axis that is averaged over, which isn't that of the batch.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no such axis.

    ??? cite

        Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017.
    """
    y_true, y_pred = matched(y_true, y_pred)
    gamma = jnp.asarray(gamma, y_pred.dtype)
    alpha = None if alpha is None else jnp.asarray(alpha, y_pred.dtype)
    return mean_over_axis(optax.losses.sigmoid_focal_loss(y_pred, y_true, alpha=alpha, gamma=gamma), axis)


def check_gamma(gamma: ArrayLike) -> None:
    check_number("gamma", gamma, lambda g: g >= 0, "a number from 0 on")


def check_balance(alpha: ArrayLike) -> None:
    check_number("alpha", alpha, lambda a: 0 <= a <= 1, "a number from 0 to 1")


class SigmoidFocal(Loss):
    r"""The focal loss of two classes, of logits: [`treegy.losses.sigmoid_focal`][].

    For probabilities, and with Keras's defaults, there is [`treegy.losses.BinaryFocalCrossentropy`][].

    **Raises:** `ValueError` where `alpha` isn't from 0 to 1, or `gamma` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.SigmoidFocal(alpha=0.25)
        assert abs(loss(jnp.array([1, 0]), jnp.array([0.0, 0.0])) - jnp.log(2.0) / 8) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"
    elementwise: ClassVar[bool] = True
    several_labels: ClassVar[bool] = True

    alpha: ArrayLike | None = eqx.field(default=None, kw_only=True)
    r"""The weight of class 1, from 0 to 1; that of class 0 is $1 - \alpha$. Both are 1 by default."""
    gamma: ArrayLike = eqx.field(default=2.0, kw_only=True)
    """How little counts what is right already, from 0 on."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis that is averaged over."""

    def __check_init__(self) -> None:
        check_gamma(self.gamma)
        if self.alpha is not None:
            check_balance(self.alpha)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return sigmoid_focal(y_true, y_pred, alpha=self.alpha, gamma=self.gamma, axis=self.axis)
