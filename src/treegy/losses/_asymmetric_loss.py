"""The crossentropy of several labels of which most are absent."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._elementwise import matched, mean_over_last_axis
from .._terms._loss import Loss


def asymmetric_loss(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    gamma_positive: ArrayLike = 1.0,
    gamma_negative: ArrayLike = 4.0,
    margin: ArrayLike = 0.05,
) -> Float[Array, "..."]:
    r"""The crossentropy of several labels in which absent ones count little that are right already, and nothing where
    they are less likely than a margin, averaged over the last axis,

    $$
    \frac{1}{d} \sum_i -y_i (1 - p_i)^{\gamma_+} \log p_i - (1 - y_i) q_i^{\gamma_-} \log (1 - q_i)
    $$

    where $p_i = \sigma(z_i)$ is the probability of the label, and $q_i = \max(p_i - m, 0)$.

    **Arguments:**

    - `y_true`: 0 or 1 (or numbers between them), of the shape `(batch, ...)`. Booleans and integers will do.
    - `y_pred`: logits $z$ of the same shape.
    - `gamma_positive`, `gamma_negative`: $\gamma_+, \gamma_- \ge 0$, how little counts what is right already.
    - `margin`: $m$ from 0 to 1. With 0 and equal $\gamma$ this is the focal loss.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][]. The authors' code sums over the labels
    instead of averaging them.

    **Raises:** [`treegy.ContractError`][] where the shapes differ.

    ??? cite

        Ridnik et al., *Asymmetric Loss for Multi-Label Classification*, ICCV 2021.
    """
    y_true, logits = matched(y_true, y_pred)
    focus, focus_on_absent, margin = (
        jnp.asarray(number, logits.dtype) for number in (gamma_positive, gamma_negative, margin)
    )
    log_p, log_rest = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    present = -jnp.exp(focus * log_rest) * log_p
    shifted = jax.nn.sigmoid(logits) - margin
    counts = shifted > 0
    # The slope of a power at 0 may be infinite, so that the base is replaced there.
    power = jnp.where(counts, shifted, jnp.ones_like(shifted)) ** focus_on_absent
    # log(1 - p + m), of whose terms neither is rounded away by the other.
    log_margin = jnp.where(margin > 0, jnp.log(jnp.where(margin > 0, margin, 1)), -jnp.inf)
    absent = jnp.where(counts, -power * jnp.logaddexp(log_rest, log_margin), jnp.zeros_like(power))
    return mean_over_last_axis(y_true * present + (1 - y_true) * absent)


class AsymmetricLoss(Loss):
    r"""The crossentropy of several labels of which most are absent, of logits: [`treegy.losses.asymmetric_loss`][].

    **Raises:** `ValueError` where a $\gamma$ is negative, or `margin` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.AsymmetricLoss(gamma_positive=0.0)
        # An absent label that is unlikely doesn't count.
        assert abs(loss(jnp.array([[1, 0]]), jnp.array([[0.0, -5.0]])) - jnp.log(2.0) / 2) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"
    elementwise: ClassVar[bool] = True
    several_labels: ClassVar[bool] = True

    gamma_positive: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """How little labels count that are there and right already, from 0 on."""
    gamma_negative: ArrayLike = eqx.field(default=4.0, kw_only=True)
    """How little labels count that are absent and right already, from 0 on."""
    margin: ArrayLike = eqx.field(default=0.05, kw_only=True)
    """Absent labels that are less probable than this don't count."""

    def __check_init__(self) -> None:
        check_number("gamma_positive", self.gamma_positive, lambda g: g >= 0, "a number from 0 on")
        check_number("gamma_negative", self.gamma_negative, lambda g: g >= 0, "a number from 0 on")
        check_number("margin", self.margin, lambda m: 0 <= m <= 1, "a number from 0 to 1")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return asymmetric_loss(
            y_true,
            y_pred,
            gamma_positive=self.gamma_positive,
            gamma_negative=self.gamma_negative,
            margin=self.margin,
        )
