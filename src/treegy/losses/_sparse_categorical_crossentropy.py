"""The crossentropy of several classes, of labels that are class indices."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._converters import flag, integer
from .._terms._classes import class_labels, within, without_class
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._crossentropy import check_label_smoothing, log_distribution, log_softmax


def sparse_categorical_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    check_bounds: bool = True,
    axis: int = -1,
    label_smoothing: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    r"""The crossentropy of class indices, $-\log p_y$, or with smoothed labels $-(1 - s) \log p_y - \frac{s}{C} \sum_c
    \log p_c$.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`.
    - `y_pred`: probabilities $p$ of the shape `(batch, ..., classes)`, or with the classes along another axis. They are
        divided by their sum over the $C$ classes, then clipped to $[10^{-7}, 1 - 10^{-7}]$.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = \text{softmax}(z)$.
    - `ignore_class`: a label that says that there is none, such as -1: its value is 0. To leave such values out of the
        mean as well is the class's business, [`treegy.losses.SparseCategoricalCrossentropy`][].
    - `check_bounds`: whether the value of any other label that isn't from 0 to $C - 1$ is NaN, and not 0.
    - `axis`: the axis of the $C$ classes in `y_pred`.
    - `label_smoothing`: $s \in [0, 1]$ draws the labels towards the uniform distribution.

    **Returns:**

    One value per label, `(batch, ...)`. In the dtype of `y_pred`, at least float32. Nothing is averaged over examples;
    see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype, its shape isn't that of `y_pred`
    without the axis of classes, or there is one class only.
    """
    labels = class_labels(y_true, y_pred, axis)
    _, y_pred = in_floats(y_true, jnp.moveaxis(y_pred, axis, -1))
    inside, at = within(labels, y_pred.shape[-1])
    if not _is_zero(label_smoothing):
        logs = log_softmax(y_pred, -1) if from_logits else log_distribution(y_pred, -1)
        values = _of_smoothed(at, logs, jnp.asarray(label_smoothing, logs.dtype))
    elif from_logits:
        values = _of_logits(at, y_pred)
    else:
        values = -jnp.take_along_axis(log_distribution(y_pred, -1), at[..., None], axis=-1)[..., 0]
    values = jnp.where(inside, values, jnp.full_like(values, jnp.nan if check_bounds else 0))
    if ignore_class is not None:
        values = jnp.where(labels == ignore_class, jnp.zeros_like(values), values)
    return values


def _of_logits(labels: Array, logits: Array) -> Array:
    """Return the crossentropy of labels that are classes. A small one is the unrounded sum of the other powers."""
    logits = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    at = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1) == labels[..., None]
    own = jnp.sum(jnp.where(at, logits, jnp.zeros_like(logits)), axis=-1)
    others = jnp.sum(jnp.where(at, jnp.zeros_like(logits), jnp.exp(logits)), axis=-1)
    return jnp.log1p(others + jnp.expm1(own)) - own


def _is_zero(label_smoothing: ArrayLike) -> bool:
    return isinstance(label_smoothing, int | float) and label_smoothing == 0


def _of_smoothed(labels: Array, logs: Array, smoothing: Array) -> Array:
    """Return the crossentropy of labels drawn towards the uniform distribution, from logarithms of probabilities."""
    at = jax.lax.broadcasted_iota(labels.dtype, logs.shape, logs.ndim - 1) == labels[..., None]
    weights = jnp.where(at, 1 - smoothing, jnp.zeros_like(smoothing)) + smoothing / logs.shape[-1]
    # 0 log 0 is 0.
    return -jnp.sum(jnp.where(weights == 0, jnp.zeros_like(logs), weights * logs), axis=-1)


class SparseCategoricalCrossentropy(Loss):
    """The crossentropy of class indices: [`treegy.losses.sparse_categorical_crossentropy`][].

    With `ignore_class`, its values count neither in the numerator nor in the denominator of the mean.

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.SparseCategoricalCrossentropy(ignore_class=-1)
        y_pred = jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1], [0.2, 0.4, 0.4]])
        assert abs(loss(jnp.array([1, 2, -1]), y_pred) - 1.177) < 1e-3
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
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes in `y_pred`."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards the uniform distribution, from 0 to 1."""

    def __check_init__(self) -> None:
        check_label_smoothing(self.label_smoothing)

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."] | Masked:
        values = sparse_categorical_crossentropy(
            y_true,
            y_pred,
            from_logits=self.from_logits,
            ignore_class=self.ignore_class,
            check_bounds=self.check_bounds,
            axis=self.axis,
            label_smoothing=self.label_smoothing,
        )
        return without_class(values, y_true, y_pred, self.ignore_class, self.axis)
