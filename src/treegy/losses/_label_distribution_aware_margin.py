"""The crossentropy of classes of which some are rare, which then have to win by more."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._terms._classes import class_labels
from .._terms._elementwise import all_in_floats, laid_along
from .._terms._loss import Loss
from ._logit_adjusted import Counts, as_counts, check_counts, counts_of
from ._sparse_categorical_crossentropy import sparse_categorical_crossentropy


def label_distribution_aware_margin(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    class_counts: Counts,
    max_margin: ArrayLike = 0.5,
    scale: ArrayLike = 30.0,
) -> Float[Array, "..."]:
    r"""The crossentropy of class indices in which the label has to win by a margin, the wider the rarer it is,
    $-\log \text{softmax}(s (z - \Delta))_y$, where $\Delta_y = m (n_{\min} / n_y)^{1/4}$ and $\Delta_c = 0$ for all
    other classes.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`.
    - `y_pred`: logits $z$ of the shape `(batch, ..., classes)`. They are meant to be cosines, from -1 to 1: of features
        and the weights of the classes, both of length 1.
    - `class_counts`: how often each class $c$ is the label in the training data, $n_c$: $C$ positive numbers.
    - `max_margin`: $m \ge 0$, the margin of the rarest class.
    - `scale`: $s > 0$.

    **Returns:**

    One value per label, `(batch, ...)`; NaN where that isn't from 0 to $C - 1$. In the dtype of `y_pred`, at least
    float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, `y_true` isn't of an integer dtype, or
    `class_counts` are of another number of classes.

    ??? cite

        Cao et al., *Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss*, NeurIPS 2019.
    """
    labels = jnp.asarray(class_labels(y_true, y_pred))
    (logits,) = all_in_floats({"y_pred": y_pred})
    counts = counts_of(class_counts, logits)
    margins = jnp.asarray(max_margin, logits.dtype) * (jnp.min(counts) / counts) ** 0.25
    own = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1) == labels[..., None]
    shifted = logits - jnp.where(own, laid_along(margins, logits.ndim - 1, logits.ndim), jnp.zeros_like(logits))
    # Differences first, which don't overflow where they are 0.
    shifted = shifted - jax.lax.stop_gradient(jnp.max(shifted, axis=-1, keepdims=True))
    return sparse_categorical_crossentropy(labels, jnp.asarray(scale, logits.dtype) * shifted, from_logits=True)


class LabelDistributionAwareMargin(Loss):
    r"""The crossentropy of classes of which some are rare, which then have to win by more:
    [`treegy.losses.label_distribution_aware_margin`][], or LDAM.

    **Raises:** `ValueError` where a count or `scale` isn't positive, or `max_margin` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.LabelDistributionAwareMargin(class_counts=[1600, 100], scale=1.0, reduction="none")
        values = loss(jnp.array([0, 1]), jnp.array([[0.25, 0.0], [0.0, 0.5]]))
        assert jnp.allclose(values, jnp.log(2.0))
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    class_counts: Counts = eqx.field(kw_only=True, converter=as_counts)
    """How often each class is the label in the training data."""
    max_margin: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """The margin of the rarest class, from 0 on."""
    scale: ArrayLike = eqx.field(default=30.0, kw_only=True)
    """What logits are multiplied with, since cosines are small."""

    def __check_init__(self) -> None:
        check_counts(self.class_counts)
        check_number("max_margin", self.max_margin, lambda m: m >= 0, "a number from 0 on")
        check_number("scale", self.scale, lambda s: s > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return label_distribution_aware_margin(
            y_true, y_pred, class_counts=self.class_counts, max_margin=self.max_margin, scale=self.scale
        )
