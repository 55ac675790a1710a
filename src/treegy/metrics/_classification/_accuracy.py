"""How often predictions equal labels."""

import jax
from jaxtyping import Array, Bool, Shaped

from ..._terms._elementwise import check_same_shape, in_floats, is_integer
from ..._terms._metric import Metric
from ._class_indices import holds_class_indices
from ._sparse_categorical_accuracy import sparse_categorical_accuracy


def accuracy(y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."]) -> Bool[Array, "..."]:
    """Whether predictions equal labels; for class indices, whether the largest prediction is that of the label.

    **Arguments:**

    - `y_true`: labels `(batch, ...)`.
    - `y_pred`: predicted labels of the same shape. Or, where `y_true` is of an integer dtype, scores
        `(batch, ..., classes)`: then this is [`treegy.metrics.sparse_categorical_accuracy`][].

    **Returns:**

    Booleans of the shape of `y_true`.

    **Raises:** [`treegy.ContractError`][] where the shapes are neither.
    """
    if holds_class_indices(y_true, y_pred):
        return sparse_categorical_accuracy(y_true, y_pred)
    check_same_shape(y_true, y_pred)
    if is_integer(y_true) and is_integer(y_pred):
        # Not as floats, in which large integers are equal that aren't.
        with jax.numpy_dtype_promotion("standard"):
            return y_true == y_pred
    y_true, y_pred = in_floats(y_true, y_pred)
    return y_true == y_pred


class Accuracy(Metric):
    """How often predictions equal labels: the mean of [`treegy.metrics.accuracy`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.Accuracy()
        assert float(accuracy(jnp.array([1, 1, 1, 1]), jnp.array([0, 1, 1, 1]))) == 0.75
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Bool[Array, "batch ..."]:
        return accuracy(y_true, y_pred)
