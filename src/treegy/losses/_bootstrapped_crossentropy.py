"""A crossentropy of labels that are trusted in part, and predictions for the rest."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import flag
from .._terms._classes import class_labels, within
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from ._crossentropy import log_distribution, log_softmax


def bootstrapped_crossentropy(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    beta: ArrayLike = 0.95,
    hard: bool = False,
    from_logits: bool = False,
) -> Float[Array, "..."]:
    r"""The crossentropy of class indices that are trusted in part, and of what is predicted for the rest,
    $-\beta \log p_y - (1 - \beta) \sum_c q_c \log p_c$.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`.
    - `y_pred`: probabilities $p$ of the shape `(batch, ..., classes)`. They are divided by their sum over the classes,
        then clipped to $[10^{-7}, 1 - 10^{-7}]$.
    - `beta`: $\beta$ from 0 to 1, how far labels are trusted. The authors take 0.95, and 0.8 with `hard=True`.
    - `hard`: whether $q$ is 1 for the most probable class and 0 for the others. If not, $q = p$, and gradients are
        those of the entropy.
    - `from_logits`: whether `y_pred` holds logits $z$ instead, $p = \text{softmax}(z)$.

    **Returns:**

    One value per label, `(batch, ...)`; NaN where that isn't from 0 to $C - 1$. In the dtype of `y_pred`, at least
    float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype, its shape isn't that of `y_pred`
    without the last axis, or there is one class only.

    ??? cite

        Reed et al., *Training Deep Neural Networks on Noisy Labels with Bootstrapping*, ICLR 2015 workshop.
    """
    labels = class_labels(y_true, y_pred)
    _, y_pred = in_floats(y_true, y_pred)
    inside, at = within(labels, y_pred.shape[-1])
    logs = log_softmax(y_pred, -1) if from_logits else log_distribution(y_pred, -1)
    own = jnp.take_along_axis(logs, at[..., None], axis=-1)[..., 0]
    if hard:
        predicted = jnp.max(logs, axis=-1)
    else:
        # 0 log 0 is 0.
        there = jnp.exp(logs) > 0
        finite = jnp.where(there, logs, jnp.zeros_like(logs))
        predicted = jnp.sum(jnp.where(there, jnp.exp(finite) * finite, jnp.zeros_like(logs)), axis=-1)
    beta = jnp.asarray(beta, own.dtype)
    return jnp.where(inside, -beta * own - (1 - beta) * predicted, jnp.full_like(own, jnp.nan))


class BootstrappedCrossentropy(Loss):
    r"""A crossentropy of labels that are trusted in part, and of predictions for the rest:
    [`treegy.losses.bootstrapped_crossentropy`][].

    **Raises:** `ValueError` where `beta` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.BootstrappedCrossentropy(beta=0.8, hard=True)
        value = loss(jnp.array([1]), jnp.array([[0.75, 0.25]]))
        assert abs(value + 0.8 * jnp.log(0.25) + 0.2 * jnp.log(0.75)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    beta: ArrayLike = eqx.field(default=0.95, kw_only=True)
    """How far labels are trusted, from 0 to 1."""
    hard: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("hard"))
    """Whether the most probable class stands for what is predicted, and not the probabilities."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""

    def __check_init__(self) -> None:
        check_number("beta", self.beta, lambda b: 0 <= b <= 1, "a number from 0 to 1")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return bootstrapped_crossentropy(y_true, y_pred, beta=self.beta, hard=self.hard, from_logits=self.from_logits)
