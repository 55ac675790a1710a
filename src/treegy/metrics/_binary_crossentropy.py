"""The mean crossentropy of two classes."""

from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._metric import Metric
from ..losses._binary_crossentropy import binary_crossentropy
from ..losses._crossentropy import check_label_smoothing
from ..losses._static import flag


class BinaryCrossentropy(Metric):
    """The mean of [`treegy.losses.binary_crossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        crossentropy = tg.metrics.BinaryCrossentropy()
        batch = crossentropy(jnp.array([[0, 1], [0, 0]]), jnp.array([[0.6, 0.4], [0.4, 0.6]]))
        assert abs(float(batch) - 0.815) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"
    elementwise: ClassVar[bool] = True

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards one half, from 0 to 1."""

    def __check_init__(self) -> None:
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return binary_crossentropy(y_true, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing)
