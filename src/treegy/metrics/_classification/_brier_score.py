"""How far predicted probabilities are from what happened."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from ..._terms._classes import class_labels
from ..._terms._elementwise import in_floats, matched
from ..._terms._metric import Metric
from ._class_indices import holds_class_indices


def brier_score(y_true: Shaped[Array, "..."], y_pred: Shaped[Array, "..."]) -> Float[Array, "..."]:
    r"""The squared distance of probabilities from labels, $\sum_c (y_c - p_c)^2$.

    **Arguments:**

    - `y_true`: labels of the shape of `y_pred`: 0 or 1, one-hot, or distributions. Or class indices, integers of the
        shape `(batch, ...)` where that of `y_pred` is `(batch, ..., classes)`.
    - `y_pred`: probabilities $p$.

    **Returns:**

    One value per example: `(batch, ..., classes)` gives `(batch, ...)`, and `(batch,)` stays. That of a label that
    isn't a class is NaN.

    **Raises:** [`treegy.ContractError`][] where the shapes are neither, or where class indices are of one class only.
    """
    if holds_class_indices(y_true, y_pred):
        labels = class_labels(y_true, y_pred)
        _, p = in_floats(y_true, y_pred)
        distances = jnp.sum((jax.nn.one_hot(labels, p.shape[-1], dtype=p.dtype) - p) ** 2, axis=-1)
        return jnp.where((labels >= 0) & (labels < p.shape[-1]), distances, jnp.nan)
    y, p = matched(y_true, y_pred)
    squares = (y - p) ** 2
    return jnp.sum(squares, axis=-1) if squares.ndim > 1 else squares


class BrierScore(Metric):
    """How far predicted probabilities are from what happened: the mean of [`treegy.metrics.brier_score`][].

    ??? cite "Reference"

        Brier, *Verification of forecasts expressed in terms of probability*, 1950.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.BrierScore()
        assert abs(float(score(jnp.array([0, 1]), jnp.array([0.5, 0.5]))) - 0.25) < 1e-6
        assert abs(float(score(jnp.array([0, 1]), jnp.array([[0.5, 0.5], [0.0, 1.0]]))) - 0.25) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return brier_score(y_true, y_pred)
