"""The focal crossentropy of several classes."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import flag, integer
from .._describe import array_name
from .._errors import ContractError
from .._terms._classes import class_axis
from .._terms._elementwise import in_floats, laid_along
from .._terms._loss import Loss
from ._crossentropy import check_label_smoothing, clipped, log_distribution, log_softmax, smoothed
from ._sigmoid_focal import check_gamma


def categorical_focal_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    alpha: ArrayLike | Sequence[ArrayLike] = 0.25,
    gamma: ArrayLike = 2.0,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> Float[Array, "..."]:
    r"""The crossentropy of distributions over classes in which what is right already counts little,
    $-\sum_c \alpha_c (1 - p_c)^\gamma y_c \log p_c$.

    **Arguments:**

    - `y_true`: one-hot labels, or distributions, of the shape `(batch, ..., classes)`. Booleans and integers will do.
    - `y_pred`: probabilities $p$ of the same shape. They are divided by their sum over the classes, then clipped to
        $[10^{-7}, 1 - 10^{-7}]$.
    - `alpha`: a weight $\alpha_c$ for each of the $C$ classes, or one number for all.
    - `gamma`: $\gamma \ge 0$, how little counts what is right; with 0 this is the crossentropy times `alpha`.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = \text{softmax}(z)$. Logits may be $-\infty$ where
        the label is 0.
    - `label_smoothing`: $s \in [0, 1]$ draws the labels towards the uniform distribution, $y (1 - s) + s / C$.
    - `axis`: the axis of the classes.

    **Returns:**

    One value per example, `(batch, ...)` without the axis of classes. In the dtype of the arguments, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, where there is no axis of several classes, or where
    `alpha` isn't of as many numbers as there are classes.

    ??? cite

        Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017.
    """
    front = class_axis(y_true, y_pred, axis)
    y_true, y_pred = in_floats(y_true, y_pred)
    classes = y_pred.shape[front]
    weights = jnp.asarray(alpha, y_pred.dtype)
    if weights.shape not in ((), (classes,)):
        raise ContractError(
            f"`alpha` is {array_name(weights)}, and one number is expected, or one for each of the {classes} classes "
            f"of `y_pred` {array_name(y_pred)}."
        )
    y_true = smoothed(y_true, label_smoothing, classes)
    log_p = log_softmax(y_pred, front) if from_logits else log_distribution(y_pred, front)
    # 0 log 0 is 0.
    crossentropy = jnp.where(y_true == 0, jnp.zeros_like(y_true), -y_true * log_p)
    focus = clipped(-jnp.expm1(log_p)) ** jnp.asarray(gamma, y_pred.dtype)
    return jnp.sum(laid_along(weights, front, y_pred.ndim) * focus * crossentropy, axis=front)


def _as_tuple(alpha: object) -> Any:
    return tuple(alpha) if isinstance(alpha, list) else alpha


_as_alpha: Callable[[ArrayLike | Sequence[ArrayLike]], ArrayLike | Sequence[ArrayLike]] = _as_tuple


class CategoricalFocalCrossentropy(Loss):
    r"""The focal crossentropy of one-hot labels: [`treegy.losses.categorical_focal_crossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1, or where `alpha` or `gamma` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.CategoricalFocalCrossentropy(alpha=[0.25, 0.25, 0.5], reduction="none")
        values = loss(jnp.array([[0, 1, 0], [0, 0, 1]]), jnp.array([[0.05, 0.9, 0.05], [0.1, 0.85, 0.05]]))
        assert jnp.allclose(values, jnp.array([2.634e-4, 2 * 0.6759]), rtol=1e-3)
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    alpha: ArrayLike | Sequence[ArrayLike] = eqx.field(default=0.25, kw_only=True, converter=_as_alpha)
    """The weight of each class: a number, or one for each."""
    gamma: ArrayLike = eqx.field(default=2.0, kw_only=True)
    """How little counts what is right already, from 0 on."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards the uniform distribution, from 0 to 1."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes."""

    def __check_init__(self) -> None:
        for alpha in self.alpha if isinstance(self.alpha, tuple) else (self.alpha,):
            check_number("alpha", alpha, lambda a: a >= 0, "a number from 0 on, or a list of them")
        check_gamma(self.gamma)
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_focal_crossentropy(
            y_true,
            y_pred,
            alpha=self.alpha,
            gamma=self.gamma,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
            axis=self.axis,
        )
