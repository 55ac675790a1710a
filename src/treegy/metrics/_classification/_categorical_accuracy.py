"""How often predictions of several classes are right, of one-hot labels or distributions."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from ..._terms._classes import class_axis
from ..._terms._metric import Metric


def categorical_accuracy(y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."]) -> Bool[Array, "..."]:
    r"""Whether the largest prediction is where the largest label is, $\arg\max_c y_c = \arg\max_c \hat y_c$.

    Of equal ones, the first counts as the largest.

    **Arguments:**

    - `y_true`: one-hot labels, or distributions, of the shape `(batch, ..., classes)`.
    - `y_pred`: scores of the same shape: probabilities and logits give the same.

    **Returns:**

    Booleans `(batch, ...)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no last axis of several classes.
    """
    axis = class_axis(y_true, y_pred)
    return jnp.argmax(y_true, axis=axis) == jnp.argmax(y_pred, axis=axis)


class CategoricalAccuracy(Metric):
    """How often the class of a one-hot label is predicted: the mean of [`treegy.metrics.categorical_accuracy`][].

    For labels that are class indices there is [`treegy.metrics.SparseCategoricalAccuracy`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.CategoricalAccuracy()
        batch = accuracy(jnp.array([[0, 0, 1], [0, 1, 0]]), jnp.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]]))
        assert float(batch) == 0.5
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Bool[Array, "batch ..."]:
        return categorical_accuracy(y_true, y_pred)
