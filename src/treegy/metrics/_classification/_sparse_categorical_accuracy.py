"""How often predictions of several classes are right, of labels that are class indices."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from ..._converters import integer
from ..._terms._classes import class_labels, without_class
from ..._terms._metric import Metric
from ..._terms._weights import Masked


def sparse_categorical_accuracy(y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."]) -> Bool[Array, "..."]:
    r"""Whether the largest prediction is that of the label, $y = \arg\max_c \hat y_c$.

    Of equal ones, the first counts as the largest. A label that isn't a class is never right.

    **Arguments:**

    - `y_true`: class indices, integers of the shape `(batch, ...)`.
    - `y_pred`: scores `(batch, ..., classes)`: probabilities and logits give the same.

    **Returns:**

    Booleans `(batch, ...)`.

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype, its shape isn't that of `y_pred`
    without the last axis, or there is one class only.
    """
    labels = class_labels(y_true, y_pred)
    return labels == jnp.argmax(y_pred, axis=-1).astype(labels.dtype)


class SparseCategoricalAccuracy(Metric):
    """How often the class of an index is predicted: the mean of [`treegy.metrics.sparse_categorical_accuracy`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.SparseCategoricalAccuracy()
        some = accuracy(jnp.array([2, 1]), jnp.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]]))
        more = accuracy(jnp.array([1, 1]), jnp.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]]))
        assert (float(some), float(some.merge(more))) == (0.5, 0.75)
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none, such as that of padding: such values don't count."""

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]
    ) -> Bool[Array, "batch ..."] | Masked:
        return without_class(sparse_categorical_accuracy(y_true, y_pred), y_true, y_pred, self.ignore_class)
