"""How little two regions overlap."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import integers
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import EPSILON, inner_axis, matched
from .._terms._loss import Loss
from .._terms._powers import exponent_of, times_power

Axes = int | tuple[int, ...] | None


def dice(y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."], *, axis: Axes = None) -> Float[Array, "..."]:
    r"""One minus the Dice coefficient of two regions, $1 - 2 \sum_i y_i p_i / (\sum_i y_i + \sum_i p_i + 10^{-7})$.

    1 where both are empty.

    **Arguments:**

    - `y_true`: 0 or 1 (or numbers between them), of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: probabilities of the same shape. Nothing is broadcast.
    - `axis`: the axis or axes that are summed over. By default all but that of the batch: Keras sums over that, too, so
        that its value depends on how the examples are cut into batches.

    **Returns:**

    One value per example, `(batch, ...)` without these axes: `axis=(1, 2)` gives one for each class of
    `(batch, height, width, classes)`. In the dtype of the arguments, at least float32. Nothing is averaged over
    examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, where an axis isn't one behind that of the batch, or
    where there is none.

    ??? cite

        Milletari et al., *V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation*, 3DV
        2016.
    """
    both, too_much, missing, epsilon = _regions(y_true, y_pred, axis)
    return (too_much + missing + epsilon) / (2 * both + too_much + missing + epsilon)


def tversky(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    alpha: ArrayLike = 0.5,
    beta: ArrayLike = 0.5,
    axis: Axes = None,
) -> Float[Array, "..."]:
    r"""One minus the Tversky index of two regions,

    $$
    1 - \frac{\sum_i y_i p_i}{\sum_i y_i p_i + \alpha \sum_i (1 - y_i) p_i + \beta \sum_i y_i (1 - p_i) + 10^{-7}}
    $$

    **Arguments:**

    - `y_true`, `y_pred`, `axis`: as for [`treegy.losses.dice`][], to which this is equal for $\alpha = \beta = 1/2$.
    - `alpha`: what is predicted and isn't there counts by it. (In Keras before July 2026, `alpha` and `beta` were
        exchanged, against their documentation.)
    - `beta`: what is there and isn't predicted counts by it.

    **Returns:** what [`treegy.losses.dice`][] does, and the same errors are raised.

    ??? cite

        Salehi et al., *Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep Networks*, MLMI
        2017.
    """
    both, too_much, missing, epsilon = _regions(y_true, y_pred, axis)
    wrong = jnp.asarray(alpha, both.dtype) * too_much + jnp.asarray(beta, both.dtype) * missing + epsilon
    return wrong / (both + wrong)


def _regions(y_true: Array, y_pred: Array, axis: Axes) -> tuple[Array, Array, Array, Array]:
    """Return what is there and predicted, what is predicted and isn't there, what is there and isn't predicted, and ε.

    Of these a loss is a quotient of sums that aren't negative, of which nothing is lost: 1 minus a quotient near 1
    would be what rounding left of it.
    """
    y_true, y_pred = matched(y_true, y_pred)
    axes = _inner_axes(y_pred, axis)
    # Whatever all are divided by, their quotient is the same; of predictions that are too large sums would overflow.
    scale = -jnp.maximum(exponent_of(jnp.max(jnp.abs(y_pred), axis=axes, keepdims=True)), 0)
    share = times_power(y_pred, scale)
    both = jnp.sum(y_true * share, axis=axes)
    too_much = jnp.sum((1 - y_true) * share, axis=axes)
    missing = jnp.sum(y_true * times_power(1 - y_pred, scale), axis=axes)
    return both, too_much, missing, times_power(jnp.full_like(both, EPSILON), jnp.squeeze(scale, axes))


def _inner_axes(y_pred: Array, axis: Axes) -> tuple[int, ...]:
    if axis is not None:
        return tuple(inner_axis(y_pred, a, "pixels") for a in (axis if isinstance(axis, tuple) else (axis,)))
    if y_pred.ndim < 2:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has no axis besides that of the batch: a region has several elements, and "
            "shapes like (batch, height, width) are expected."
        )
    return tuple(range(1, y_pred.ndim))


_AXES = integers("axis", "an axis, or a list of them")


class Dice(Loss):
    """One minus the Dice coefficient of two regions: [`treegy.losses.dice`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Dice(reduction="none")
        values = loss(jnp.array([[1, 1, 0, 0], [1, 0, 0, 0]]), jnp.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]))
        assert jnp.allclose(values, jnp.array([0.5, 0.0]), atol=1e-6)
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    axis: Axes = eqx.field(
        default=None, kw_only=True, static=True, converter=integers("axis", "an axis, or a list of them")
    )
    """The axis or axes that are summed over; by default all but that of the batch."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return dice(y_true, y_pred, axis=self.axis)


class Tversky(Loss):
    """One minus the Tversky index of two regions: [`treegy.losses.tversky`][].

    **Raises:** `ValueError` where `alpha` or `beta` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true, y_pred = jnp.array([[1, 0, 0, 0]]), jnp.array([[1.0, 1.0, 0.0, 0.0]])
        assert abs(tg.losses.Tversky(alpha=1.0, beta=0.0)(y_true, y_pred) - 0.5) < 1e-6
        assert abs(tg.losses.Tversky(alpha=0.0, beta=1.0)(y_true, y_pred)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    alpha: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """By how much what is predicted and isn't there counts."""
    beta: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """By how much what is there and isn't predicted counts."""
    axis: Axes = eqx.field(
        default=None, kw_only=True, static=True, converter=integers("axis", "an axis, or a list of them")
    )
    """The axis or axes that are summed over; by default all but that of the batch."""

    def __check_init__(self) -> None:
        check_number("alpha", self.alpha, lambda a: a >= 0, "a number from 0 on")
        check_number("beta", self.beta, lambda b: b >= 0, "a number from 0 on")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return tversky(y_true, y_pred, alpha=self.alpha, beta=self.beta, axis=self.axis)
