"""The focal crossentropy of two classes."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._converters import flag, integer
from .._terms._elementwise import absolute, matched, mean_over_axis
from .._terms._loss import Loss
from ._crossentropy import check_label_smoothing, clipped, log_clipped, smoothed
from ._sigmoid_focal import check_balance, check_gamma, sigmoid_focal


def binary_focal_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    apply_class_balancing: bool = False,
    alpha: ArrayLike = 0.25,
    gamma: ArrayLike = 2.0,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> Float[Array, "..."]:
    r"""The crossentropy of two classes in which what is right already counts little, averaged over one axis,

    $$
    \frac{1}{d}\sum_i \alpha_i (1 - q_i)^\gamma \cdot -\left(y_i \log p_i + (1 - y_i) \log (1 - p_i)\right)
    $$

    where $q_i = y_i p_i + (1 - y_i) (1 - p_i)$ is the probability of the label, and
    $\alpha_i = y_i \alpha + (1 - y_i) (1 - \alpha)$.

    **Arguments:**

    - `y_true`: 0 or 1 (or numbers between them), of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: probabilities $p$ of class 1, of the same shape; they are clipped to $[10^{-7}, 1 - 10^{-7}]$.
    - `apply_class_balancing`: whether classes are weighted by $\alpha_i$; if not, that is 1.
    - `alpha`: the weight of class 1, from 0 to 1.
    - `gamma`: $\gamma \ge 0$, how little counts what is right; with 0 this is the crossentropy.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = 1 / (1 + e^{-z})$. Nothing is clipped then.
    - `label_smoothing`: $s \in [0, 1]$ draws the labels towards one half, $y (1 - s) + s / 2$.
    - `axis`: the axis that is averaged over, which isn't that of the batch.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no such axis.

    ??? cite

        Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017.
    """
    y_true, y_pred = matched(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, 2)
    if from_logits:
        return sigmoid_focal(y_true, y_pred, alpha=alpha if apply_class_balancing else None, gamma=gamma, axis=axis)
    p, rest = y_pred, 1 - y_pred
    crossentropy = -y_true * log_clipped(p, rest) - (1 - y_true) * log_clipped(rest, p)
    # Negative for a label out of range: its power would be NaN, and so the gradient even where the weight is 0.
    missed = absolute(y_true * clipped(rest) + (1 - y_true) * clipped(p))
    values = missed ** jnp.asarray(gamma, p.dtype) * crossentropy
    if apply_class_balancing:
        alpha = jnp.asarray(alpha, p.dtype)
        values = (y_true * alpha + (1 - y_true) * (1 - alpha)) * values
    return mean_over_axis(values, axis)


class BinaryFocalCrossentropy(Loss):
    r"""The focal crossentropy of two classes: [`treegy.losses.binary_focal_crossentropy`][].

    **Raises:** `ValueError` where `alpha` or `label_smoothing` isn't from 0 to 1, or `gamma` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.BinaryFocalCrossentropy(reduction="none")
        values = loss(jnp.array([[0, 1], [0, 0]]), jnp.array([[0.6, 0.4], [0.4, 0.6]]))
        assert jnp.allclose(values, jnp.array([0.330, 0.206]), atol=1e-3)
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"
    elementwise: ClassVar[bool] = True
    several_labels: ClassVar[bool] = True

    apply_class_balancing: bool = eqx.field(
        default=False, kw_only=True, static=True, converter=flag("apply_class_balancing")
    )
    """Whether `alpha` is used."""
    alpha: ArrayLike = eqx.field(default=0.25, kw_only=True)
    r"""The weight of class 1, from 0 to 1; that of class 0 is $1 - \alpha$."""
    gamma: ArrayLike = eqx.field(default=2.0, kw_only=True)
    """How little counts what is right already, from 0 on."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards one half, from 0 to 1."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis that is averaged over."""

    def __check_init__(self) -> None:
        check_balance(self.alpha)
        check_gamma(self.gamma)
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return binary_focal_crossentropy(
            y_true,
            y_pred,
            apply_class_balancing=self.apply_class_balancing,
            alpha=self.alpha,
            gamma=self.gamma,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
            axis=self.axis,
        )
