"""A crossentropy of class indices that bears wrong labels."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._classes import class_labels, within
from .._terms._elementwise import in_floats
from .._terms._loss import Loss


def categorical_generalized_cross_entropy(
    y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."], *, q: ArrayLike = 0.5
) -> Float[Array, "..."]:
    r"""A loss between the crossentropy ($q \to 0$) and the absolute error ($q = 1$), which bears wrong labels the
    better the larger $q$ is, $(1 - p_y^q) / q$.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`.
    - `y_pred`: probabilities $p$ of the shape `(batch, ..., classes)`. They aren't divided by their sum; a negative one
        counts as 0.
    - `q`: between 0 and 1.

    **Returns:**

    One value per label, `(batch, ...)`; NaN where that isn't from 0 to $C - 1$. In the dtype of `y_pred`, at least
    float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype, its shape isn't that of `y_pred`
    without the last axis, or there is one class only.

    ??? cite

        Zhang and Sabuncu, *Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels*,
        NeurIPS 2018.
    """
    labels = class_labels(y_true, y_pred)
    _, y_pred = in_floats(y_true, y_pred)
    inside, at = within(labels, y_pred.shape[-1])
    q = jnp.asarray(q, y_pred.dtype)
    p = jnp.take_along_axis(y_pred, at[..., None], axis=-1)[..., 0]
    # The slope of p^q at 0 is infinite, so that p is replaced before the power and not only after.
    power = jnp.where(p > 0, jnp.where(p > 0, p, jnp.ones_like(p)) ** q, jnp.zeros_like(p))
    # Near 1 the difference from 1 would be what rounding left of it.
    missing = jnp.where(p > 0.5, -jnp.expm1(q * jnp.log(jnp.maximum(p, 0.5))), 1 - power)
    return jnp.where(inside & ~jnp.isnan(p), missing / q, jnp.full_like(p, jnp.nan))


class CategoricalGeneralizedCrossEntropy(Loss):
    r"""A crossentropy of class indices that bears wrong labels:
    [`treegy.losses.categorical_generalized_cross_entropy`][].

    **Raises:** `ValueError` where `q` isn't between 0 and 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.CategoricalGeneralizedCrossEntropy()
        assert loss(jnp.array([1]), jnp.array([[0.75, 0.25]])) == 1
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    q: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """How well wrong labels are borne, between 0 and 1."""

    def __check_init__(self) -> None:
        check_number("q", self.q, lambda q: 0 < q < 1, "a number between 0 and 1")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_generalized_cross_entropy(y_true, y_pred, q=self.q)
