"""The crossentropy of several classes, of one-hot labels or distributions."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._converters import flag, integer
from .._terms._classes import class_axis
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from ._crossentropy import check_label_smoothing, log_distribution, log_softmax, smoothed


def categorical_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> Float[Array, "..."]:
    r"""The crossentropy of distributions over classes, $-\sum_c y_c \log p_c$.

    **Arguments:**

    - `y_true`: one-hot labels, or distributions, of the shape `(batch, ..., classes)`. Booleans and integers will do.
    - `y_pred`: probabilities $p$ of the same shape. They are divided by their sum over the classes, then clipped to
        $[10^{-7}, 1 - 10^{-7}]$.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = \text{softmax}(z)$. Logits may be $-\infty$ where
        the label is 0.
    - `label_smoothing`: $s \in [0, 1]$ draws the labels towards the uniform distribution, $y (1 - s) + s / C$.
    - `axis`: the axis of the $C$ classes.

    **Returns:**

    One value per example, `(batch, ...)` without the axis of classes. In the dtype of the arguments, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no axis of several classes.
    """
    front = class_axis(y_true, y_pred, axis)
    y_true, y_pred = in_floats(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, y_pred.shape[front])
    if from_logits:
        # 0 log 0 is 0.
        terms = jnp.where(y_true == 0, jnp.zeros_like(y_true), -y_true * log_softmax(y_pred, front))
        return jnp.sum(terms, axis=front)
    return -jnp.sum(y_true * log_distribution(y_pred, front), axis=front)


class CategoricalCrossentropy(Loss):
    """The crossentropy of one-hot labels or distributions: [`treegy.losses.categorical_crossentropy`][].

    For labels that are class indices there is [`treegy.losses.SparseCategoricalCrossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.CategoricalCrossentropy()
        value = loss(jnp.array([[0, 1, 0], [0, 0, 1]]), jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]))
        assert abs(value - 1.177) < 1e-3
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
