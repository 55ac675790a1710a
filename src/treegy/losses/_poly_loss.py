"""The crossentropy with another coefficient of its first power, of logits."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import integer
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from ._categorical_crossentropy import categorical_crossentropy
from ._crossentropy import log_softmax


def poly_loss(
    y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."], *, epsilon: ArrayLike = 2.0, axis: int = -1
) -> Float[Array, "..."]:
    r"""The crossentropy of distributions over classes plus a number times the probability of being wrong,
    $\sum_c y_c \left(-\log p_c + \varepsilon (1 - p_c)\right)$ with $p = \text{softmax}(z)$.

    **Arguments:**

    - `y_true`: one-hot labels, or distributions, of the shape `(batch, ..., classes)`. Booleans and integers will do.
    - `y_pred`: logits $z$ of the same shape. They may be $-\infty$ where the label is 0.
    - `epsilon`: $\varepsilon$. Its authors advise 2 for classifying images, and -1 for segmenting them.
    - `axis`: the axis of the classes.

    **Returns:**

    One value per example, `(batch, ...)` without the axis of classes. In the dtype of the arguments, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no axis of several classes.

    ??? cite

        Leng et al., *PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions*, ICLR 2022.
    """
    # Not the one of Optax, which gives NaN for logits of minus infinity.
    crossentropy = categorical_crossentropy(y_true, y_pred, from_logits=True, axis=axis)
    y_true, y_pred = in_floats(y_true, y_pred)
    wrong = jnp.sum(y_true * -jnp.expm1(log_softmax(y_pred, axis % y_pred.ndim)), axis=axis)
    return crossentropy + jnp.asarray(epsilon, wrong.dtype) * wrong


class PolyLoss(Loss):
    r"""The crossentropy with another coefficient of its first power, of logits: [`treegy.losses.poly_loss`][].

    **Raises:** `ValueError` where `epsilon` isn't a number.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.PolyLoss(epsilon=2.0)
        assert abs(loss(jnp.array([[0, 1]]), jnp.zeros((1, 2))) - (jnp.log(2.0) + 1)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    epsilon: ArrayLike = eqx.field(default=2.0, kw_only=True)
    """What the probability of being wrong is multiplied with."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes."""

    def __check_init__(self) -> None:
        check_number("epsilon", self.epsilon, lambda e: e == e, "a number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return poly_loss(y_true, y_pred, epsilon=self.epsilon, axis=self.axis)
