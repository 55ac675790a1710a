"""How often the label is among the largest predictions, of labels that are class indices."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from ..._converters import flag, integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._classes import class_labels, without_class
from ..._terms._elementwise import is_integer
from ..._terms._metric import Metric
from ..._terms._weights import Masked
from ._top_k import check_classes, is_among_top


def sparse_top_k_categorical_accuracy(
    y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."], *, k: int = 5, from_sorted_ids: bool = False
) -> Bool[Array, "..."]:
    r"""Whether the prediction of the label is among the $k$ largest, $\#\{c : \hat y_c > \hat y_y\} < k$.

    Equal predictions are not larger, so that more than $k$ may be among the largest. NaN counts as larger. A label that
    isn't a class is never among them.

    **Arguments:**

    - `y_true`: class indices, integers of the shape `(batch, ...)`.
    - `y_pred`: scores `(batch, ..., classes)`: probabilities and logits give the same.
    - `k`: how many of the largest predictions count.
    - `from_sorted_ids`: whether `y_pred` holds the classes of the largest scores instead, integers
        `(batch, ..., at least k)` from the largest on.

    **Returns:**

    Booleans `(batch, ...)`.

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype, its shape isn't that of `y_pred`
    without the last axis, there is one class only, or fewer than `k`; or where sorted classes aren't of an integer
    dtype.
    """
    labels = class_labels(y_true, y_pred)
    check_classes("k", k, y_pred)
    if from_sorted_ids:
        if not is_integer(y_pred):
            raise ContractError(f"`y_pred` {array_name(y_pred)} must hold class indices where `from_sorted_ids=True`.")
        return (labels >= 0) & jnp.any(labels[..., None] == y_pred[..., :k].astype(labels.dtype), axis=-1)
    return is_among_top(y_pred, labels, k)


class SparseTopKCategoricalAccuracy(Metric):
    """How often the class of an index is among the `k` largest predictions: the mean of
    [`treegy.metrics.sparse_top_k_categorical_accuracy`][].

    **Raises:** `ValueError` where `k` is less than 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.SparseTopKCategoricalAccuracy(k=2)
        batch = accuracy(jnp.array([2, 0]), jnp.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]]))
        assert float(batch) == 0.5
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    k: int = eqx.field(
        default=5, static=True, converter=integer("k", "how many of the largest predictions count", least=1)
    )
    """How many of the largest predictions count."""
    from_sorted_ids: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_sorted_ids"))
    """Whether `y_pred` holds the classes of the largest scores, from the largest on, instead of scores."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none, such as that of padding: such values don't count."""

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]
    ) -> Bool[Array, "batch ..."] | Masked:
        values = sparse_top_k_categorical_accuracy(y_true, y_pred, k=self.k, from_sorted_ids=self.from_sorted_ids)
        return without_class(values, y_true, y_pred, self.ignore_class)
