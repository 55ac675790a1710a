"""How many of an example's labels are predicted wrongly."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Shaped

from ._binary_accuracy import binary_accuracy
from ._thresholded import Thresholded


def hamming_loss(
    y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."], *, threshold: ArrayLike = 0.5
) -> Bool[Array, "..."]:
    r"""Whether predictions are on the wrong side of a threshold, $y \ne [\hat y > t]$.

    **Arguments:**

    - `y_true`: 0 or 1, of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: predictions of the same shape. Nothing is broadcast.
    - `threshold`: $t$; 0.5 suits probabilities, 0 logits.

    **Returns:**

    Booleans of the shape of `y_true`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    return jnp.logical_not(binary_accuracy(y_true, y_pred, threshold=threshold))


class HammingLoss(Thresholded):
    """The share of labels that are predicted wrongly: the mean of [`treegy.metrics.hamming_loss`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.metrics.HammingLoss()
        assert float(loss(jnp.array([[1, 0], [1, 1]]), jnp.array([[0.9, 0.1], [0.9, 0.2]]))) == 0.25
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Bool[Array, "batch ..."]:
        return hamming_loss(y_true, y_pred, threshold=self.threshold)
