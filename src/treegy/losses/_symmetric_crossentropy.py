"""A crossentropy of class indices, and its reverse, which bears wrong labels."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import flag
from .._terms._loss import Loss
from ._sparse_categorical_crossentropy import sparse_categorical_crossentropy


def symmetric_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 1.0,
    log_of_zero: ArrayLike = -4.0,
    from_logits: bool = False,
) -> Float[Array, "..."]:
    r"""The crossentropy of class indices, and that of the labels as seen from the predictions,
    $-\alpha \log p_y - \beta \sum_c p_c \log y_c = -\alpha \log p_y - \beta A (1 - p_y)$, in which $A$ stands for the
    logarithm of the 0 of the other classes. The second bears wrong labels, the first learns fast.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`.
    - `y_pred`: probabilities $p$ of the shape `(batch, ..., classes)`. They are divided by their sum over the classes,
        then clipped to $[10^{-7}, 1 - 10^{-7}]$.
    - `alpha`, `beta`: $\alpha, \beta \ge 0$. The authors take 0.1 and 1 for ten classes, 6 and 0.1 for a hundred.
    - `log_of_zero`: $A < 0$. It is -4 in the paper, and $\log 10^{-4} \approx -9.2$ in its code.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = \text{softmax}(z)$.

    **Returns:**

    One value per label, `(batch, ...)`; NaN where that isn't from 0 to $C - 1$. In the dtype of `y_pred`, at least
    float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype, its shape isn't that of `y_pred`
    without the last axis, or there is one class only.

    ??? cite

        Wang et al., *Symmetric Cross Entropy for Robust Learning with Noisy Labels*, ICCV 2019.
    """
    crossentropy = sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits)
    alpha, beta, log_of_zero = (jnp.asarray(number, crossentropy.dtype) for number in (alpha, beta, log_of_zero))
    # 1 - p of a probability near 1 would be rounded.
    return alpha * crossentropy + beta * log_of_zero * jnp.expm1(-crossentropy)


class SymmetricCrossentropy(Loss):
    r"""A crossentropy of class indices, and its reverse, which bears wrong labels:
    [`treegy.losses.symmetric_crossentropy`][].

    **Raises:** `ValueError` where `alpha` or `beta` is negative, or `log_of_zero` isn't.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.SymmetricCrossentropy()
        value = loss(jnp.array([1]), jnp.array([[0.5, 0.5]]))
        assert abs(value - (0.1 * jnp.log(2.0) + 2)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    alpha: ArrayLike = eqx.field(default=0.1, kw_only=True)
    """The weight of the crossentropy."""
    beta: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """The weight of its reverse."""
    log_of_zero: ArrayLike = eqx.field(default=-4.0, kw_only=True)
    """What stands for the logarithm of 0 in the reverse, a negative number."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""

    def __check_init__(self) -> None:
        check_number("alpha", self.alpha, lambda a: a >= 0, "a number from 0 on")
        check_number("beta", self.beta, lambda b: b >= 0, "a number from 0 on")
        check_number("log_of_zero", self.log_of_zero, lambda a: a < 0, "a negative number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return symmetric_crossentropy(
            y_true,
            y_pred,
            alpha=self.alpha,
            beta=self.beta,
            log_of_zero=self.log_of_zero,
            from_logits=self.from_logits,
        )
