"""The perplexity of predicted tokens."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag, integer
from ..._terms._accumulator import Mean
from ..._terms._classes import class_labels
from ..._terms._metric import Metric
from ...losses._sparse_categorical_crossentropy import sparse_categorical_crossentropy
from .._accumulators._value_of import ValueOf


class Perplexity(Metric):
    r"""The exponential of the mean crossentropy of all tokens, $\exp(-\sum w \log p_y / \sum w)$.

    `y_true` holds class indices `(batch, ...)`, `y_pred` probabilities (or logits) `(batch, ..., classes)`: what
    [`treegy.losses.sparse_categorical_crossentropy`][] takes. A label that isn't a class makes it NaN, but for
    `ignore_class`, such as the index of padding, which doesn't count. Without any tokens it is 1.

    **Raises:** [`treegy.ContractError`][] where labels and predictions don't fit each other by shape or dtype.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        perplexity = tg.metrics.Perplexity(ignore_class=-1)
        y_true, y_pred = jnp.array([[0, 2, -1]]), jnp.array([[[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]])
        assert abs(float(perplexity(y_true, y_pred)) - 2) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such values don't count."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Float[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        values = sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits, ignore_class=self.ignore_class
        )
        mask = None if self.ignore_class is None else class_labels(y_true, y_pred) != self.ignore_class
        return ValueOf(Mean.of(values, sample_weight, mask), jnp.exp)
