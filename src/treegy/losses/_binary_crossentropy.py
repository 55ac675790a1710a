"""The crossentropy of two classes."""

from typing import ClassVar

import equinox as eqx
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._converters import flag, integer
from .._terms._elementwise import matched, mean_over_axis
from .._terms._loss import Loss
from ._crossentropy import check_label_smoothing, log_clipped, smoothed


def binary_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> Float[Array, "..."]:
    r"""The crossentropy of two classes averaged over one axis, the last by default,
    $-\frac{1}{d}\sum_i \left(y_i \log p_i + (1 - y_i) \log (1 - p_i)\right)$.

    **Arguments:**

    - `y_true`: 0 or 1 (or numbers between them), of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: probabilities $p$ of class 1, of the same shape; they are clipped to $[10^{-7}, 1 - 10^{-7}]$.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = 1 / (1 + e^{-z})$.
    - `label_smoothing`: $s \in [0, 1]$ draws the labels towards one half, $y (1 - s) + s / 2$.
    - `axis`: the axis that is averaged over, which isn't that of the batch.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no such axis.
    """
    y_true, y_pred = matched(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, 2)
    if from_logits:
        return mean_over_axis(optax.losses.sigmoid_binary_cross_entropy(y_pred, y_true), axis)
    p, rest = y_pred, 1 - y_pred
    return mean_over_axis(-y_true * log_clipped(p, rest) - (1 - y_true) * log_clipped(rest, p), axis)


class BinaryCrossentropy(Loss):
    """The crossentropy of two classes averaged over an axis: [`treegy.losses.binary_crossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.BinaryCrossentropy()
        value = loss(jnp.array([[0, 1], [0, 0]]), jnp.array([[0.6, 0.4], [0.4, 0.6]]))
        assert abs(value - 0.815) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"
    elementwise: ClassVar[bool] = True
    several_labels: ClassVar[bool] = True

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards one half, from 0 to 1."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis that is averaged over."""

    def __check_init__(self) -> None:
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return binary_crossentropy(
            y_true, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing, axis=self.axis
        )
