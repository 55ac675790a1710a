"""How often the label is among the largest predictions, of one-hot labels or distributions."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from ..._converters import integer
from ..._terms._classes import class_axis
from ..._terms._metric import Metric
from ._top_k import check_classes, is_among_top


def top_k_categorical_accuracy(
    y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."], *, k: int = 5
) -> Bool[Array, "..."]:
    r"""Whether the prediction of the label is among the $k$ largest, $\#\{c : \hat y_c > \hat y_y\} < k$ where
    $y = \arg\max_c y_c$.

    Equal predictions are not larger, so that more than $k$ may be among the largest. NaN counts as larger.

    **Arguments:**

    - `y_true`: one-hot labels, or distributions, of the shape `(batch, ..., classes)`.
    - `y_pred`: scores of the same shape: probabilities and logits give the same.
    - `k`: how many of the largest predictions count.

    **Returns:**

    Booleans `(batch, ...)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, where there is no last axis of several classes, or
    where there are fewer than `k`.
    """
    axis = class_axis(y_true, y_pred)
    check_classes("k", k, y_pred)
    return is_among_top(y_pred, jnp.argmax(y_true, axis=axis), k)


class TopKCategoricalAccuracy(Metric):
    """How often the class of a one-hot label is among the `k` largest predictions: the mean of
    [`treegy.metrics.top_k_categorical_accuracy`][].

    For labels that are class indices there is [`treegy.metrics.SparseTopKCategoricalAccuracy`][].

    **Raises:** `ValueError` where `k` is less than 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.TopKCategoricalAccuracy(k=2)
        batch = accuracy(jnp.array([[0, 0, 1], [1, 0, 0]]), jnp.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]]))
        assert float(batch) == 0.5
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    k: int = eqx.field(
        default=5, static=True, converter=integer("k", "how many of the largest predictions count", least=1)
    )
    """How many of the largest predictions count."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Bool[Array, "batch ..."]:
        return top_k_categorical_accuracy(y_true, y_pred, k=self.k)
