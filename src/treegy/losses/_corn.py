"""The crossentropies of whether a label is above the next threshold, of those that are above the one before."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from .._terms._elementwise import all_in_floats
from .._terms._loss import Loss
from ._ordinal import ordinal


def corn(y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""The crossentropies of whether a label is above the next threshold between ordered classes, of all thresholds
    that it reaches, $-\sum_{k \le \min(y, C - 2)} [y > k] \log \sigma(z_k) + [y = k] \log \sigma(-z_k)$, where
    $\sigma(z_k) = P(y > k \mid y \ge k)$: minus the logarithm of the probability of $y$.

    Products of these probabilities decrease whatever the logits are, so that, unlike with [`treegy.losses.coral`][],
    these may be the output of any layer. [`treegy.losses.corn_classes`][] gives the classes of logits.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`: ages, grades, stars.
    - `y_pred`: logits $z$ of the shape `(batch, ..., classes - 1)`.

    **Returns:**

    One value per label, `(batch, ...)`; NaN where that isn't from 0 to $C - 1$. In the dtype of `y_pred`, at least
    float32. Nothing is averaged over examples; see [`treegy.Loss`][]. The authors' code divides the sum over a batch by
    how many thresholds its labels reach, and not by how many labels there are.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Shi, Cao and Raschka, *Deep Neural Networks for Rank-Consistent Ordinal Regression Based on Conditional
        Probabilities*, Pattern Analysis and Applications 26 (2023).
    """
    it = ordinal(y_true, y_pred)
    values = jnp.where(it.reached, it.values, jnp.zeros_like(it.values))
    return jnp.where(it.outside, jnp.nan, jnp.sum(values, axis=-1))


def corn_classes(y_pred: Float[Array, "... thresholds"]) -> Int[Array, "..."]:
    r"""Return the classes of logits that [`treegy.losses.corn`][] has trained: how many thresholds a label is probably
    above, $\sum_k [\prod_{j \le k} \sigma(z_j) > \frac12]$. They are class indices, for metrics of `num_classes`.
    """
    (logits,) = all_in_floats({"y_pred": y_pred})
    return jnp.sum(jnp.cumprod(jax.nn.sigmoid(logits), axis=-1) > 0.5, axis=-1, dtype=jnp.int32)


class CORN(Loss):
    r"""The crossentropies of whether a label is above the next threshold between ordered classes:
    [`treegy.losses.corn`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        logits = jnp.array([[2.0, 1.0, -1.0], [0.0, -1.0, 3.0]])
        loss = tg.losses.CORN(reduction="none")
        assert jnp.allclose(loss(jnp.array([2, 0]), logits)[1], jnp.log(2.0))
        assert tg.losses.corn_classes(logits).tolist() == [2, 0]
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return corn(y_true, y_pred)
