"""The mean crossentropy of several classes, of one-hot labels or distributions."""

from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._metric import Metric
from ..losses._categorical_crossentropy import categorical_crossentropy
from ..losses._crossentropy import check_label_smoothing
from ..losses._static import flag, integer


class CategoricalCrossentropy(Metric):
    """The mean of [`treegy.losses.categorical_crossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        crossentropy = tg.metrics.CategoricalCrossentropy()
        batch = crossentropy(jnp.array([[0, 1, 0], [0, 0, 1]]), jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]))
        assert abs(float(batch) - 1.177) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards the uniform distribution, from 0 to 1."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes."""

    def __check_init__(self) -> None:
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing, axis=self.axis
        )
