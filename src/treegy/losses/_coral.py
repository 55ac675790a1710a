"""The crossentropies of whether a label is above each of the thresholds between ordered classes."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from .._terms._elementwise import all_in_floats
from .._terms._loss import Loss
from ._ordinal import ordinal


def coral(y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""The crossentropies of whether a label is above each of the thresholds between ordered classes,
    $-\sum_{k < C - 1} [y > k] \log \sigma(z_k) + [y \le k] \log \sigma(-z_k)$, where $\sigma(z_k) = P(y > k)$.

    So that these probabilities decrease, logits are one number of the input plus a bias of each threshold,
    $z_k = f(x) + b_k$: that is the module's business. [`treegy.losses.coral_classes`][] gives the classes of logits.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`: ages, grades, stars.
    - `y_pred`: logits $z$ of the shape `(batch, ..., classes - 1)`.

    **Returns:**

    One value per label, `(batch, ...)`; NaN where that isn't from 0 to $C - 1$. In the dtype of `y_pred`, at least
    float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Cao, Mirjalili and Raschka, *Rank Consistent Ordinal Regression for Neural Networks with Application to Age
        Estimation*, Pattern Recognition Letters 140 (2020).
    """
    it = ordinal(y_true, y_pred)
    return jnp.where(it.outside, jnp.nan, jnp.sum(it.values, axis=-1))


def coral_classes(y_pred: Float[Array, "... thresholds"]) -> Int[Array, "..."]:
    r"""Return the classes of logits that [`treegy.losses.coral`][] has trained: how many thresholds a label is probably
    above, $\sum_k [z_k > 0]$. They are class indices, for metrics of `num_classes`.
    """
    (logits,) = all_in_floats({"y_pred": y_pred})
    return jnp.sum(logits > 0, axis=-1, dtype=jnp.int32)


class CORAL(Loss):
    r"""The crossentropies of whether a label is above each threshold between ordered classes:
    [`treegy.losses.coral`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        logits = jnp.array([[2.0, 1.0, -1.0], [0.0, -1.0, -3.0]])
        loss = tg.losses.CORAL(reduction="none")
        assert jnp.allclose(loss(jnp.array([2, 0]), logits)[1], jnp.log(2.0) + jnp.log1p(jnp.exp(-1.0)) + 0.04858735)
        assert tg.losses.coral_classes(logits).tolist() == [2, 0]
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return coral(y_true, y_pred)
