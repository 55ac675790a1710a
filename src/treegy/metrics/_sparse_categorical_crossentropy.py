"""The mean crossentropy of several classes, of labels that are class indices."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Shaped

from .._accumulator import Masked
from .._metric import Metric
from ..losses._classes import class_labels
from ..losses._sparse_categorical_crossentropy import sparse_categorical_crossentropy
from ..losses._static import flag, integer


class SparseCategoricalCrossentropy(Metric):
    """The mean of [`treegy.losses.sparse_categorical_crossentropy`][].

    With `ignore_class`, its values count neither in the numerator nor in the denominator of the mean.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        crossentropy = tg.metrics.SparseCategoricalCrossentropy(ignore_class=-1)
        y_pred = jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1], [0.2, 0.4, 0.4]])
        assert abs(float(crossentropy(jnp.array([1, 2, -1]), y_pred)) - 1.177) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such values don't count."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether any other label out of range makes the value NaN, and not 0."""

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."] | Masked:
        values = sparse_categorical_crossentropy(
            y_true,
            y_pred,
            from_logits=self.from_logits,
            ignore_class=self.ignore_class,
            check_bounds=self.check_bounds,
        )
        if self.ignore_class is None:
            return values
        return Masked(values, class_labels(y_true, y_pred) != self.ignore_class)
