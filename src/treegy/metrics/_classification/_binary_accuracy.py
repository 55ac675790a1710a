"""How often predictions of two classes are right."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Shaped

from ..._terms._elementwise import matched
from ._thresholded import Thresholded


def binary_accuracy(
    y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."], *, threshold: ArrayLike = 0.5
) -> Bool[Array, "..."]:
    r"""Whether predictions are on the right side of a threshold, $y = [\hat y > t]$.

    **Arguments:**

    - `y_true`: 0 or 1, of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: predictions of the same shape. Nothing is broadcast.
    - `threshold`: $t$; 0.5 suits probabilities, 0 logits.

    **Returns:**

    Booleans of the shape of `y_true`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return y_true == (y_pred > jnp.asarray(threshold, y_pred.dtype)).astype(y_true.dtype)


class BinaryAccuracy(Thresholded):
    """How often predictions of two classes are right: the mean of [`treegy.metrics.binary_accuracy`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.BinaryAccuracy()
        batch = accuracy(jnp.array([[1], [1], [0], [0]]), jnp.array([[0.98], [1.0], [0.0], [0.6]]))
        assert float(batch) == 0.75
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Bool[Array, "batch ..."]:
        return binary_accuracy(y_true, y_pred, threshold=self.threshold)
