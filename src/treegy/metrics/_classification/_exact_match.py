"""How often all labels of an example are predicted."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Shaped

from ._binary_accuracy import binary_accuracy
from ._thresholded import Thresholded


def exact_match(
    y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."], *, threshold: ArrayLike = 0.5
) -> Bool[Array, "..."]:
    r"""Whether the predictions of all labels are on the right side of a threshold, $\forall c: y_c = [\hat y_c > t]$.

    **Arguments:**

    - `y_true`: 0 or 1, of the shape `(batch, ..., labels)`. Booleans and integers will do.
    - `y_pred`: predictions of the same shape. Nothing is broadcast.
    - `threshold`: $t$; 0.5 suits probabilities, 0 logits.

    **Returns:**

    Booleans `(batch, ...)`; those of shape `(batch,)` stay.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    right = binary_accuracy(y_true, y_pred, threshold=threshold)
    return jnp.all(right, axis=-1) if right.ndim > 1 else right


class ExactMatch(Thresholded):
    """How often all labels of an example are predicted: the mean of [`treegy.metrics.exact_match`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        match = tg.metrics.ExactMatch()
        assert float(match(jnp.array([[1, 0], [1, 1]]), jnp.array([[0.9, 0.1], [0.9, 0.2]]))) == 0.5
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Bool[Array, "batch ..."]:
        return exact_match(y_true, y_pred, threshold=self.threshold)
