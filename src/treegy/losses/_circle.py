"""The circle loss of labelled embeddings."""

import math
from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._converters import flag
from .._terms._loss import Loss
from .._terms._weights import Masked
from .._types import PyTree
from ._pairs import OF_PAIRS, embedded, log_sum_exp, others, pairs


def circle(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    gamma: ArrayLike = 80.0,
    margin: ArrayLike = 0.4,
    remove_diagonal: bool = True,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""Draws embeddings of the same label together and those of different labels apart, the more the further they are
    from where they should be. With the similarities $s_{ij} = \min(y_i \cdot y_j, 1)$ and the margin $m$,

    $$
    \log\left(1 + \sum_{j \in P_i} e^{-\gamma (1 + m - s_{ij}) (s_{ij} - 1 + m)}
    \sum_{j \in N_i} e^{\gamma \max(s_{ij} + m, 0) (s_{ij} - m)}\right)
    $$

    where $P_i$ are the other examples of the batch that have the label of $i$, and $N_i$ those that have another one.

    **Arguments:**

    - `y_true`: labels, integers `(batch,)`.
    - `y_pred`: embeddings `(batch, d)` of length 1. They aren't made to be.
    - `gamma`: the scale $\gamma$.
    - `margin`: $m$, from 0 to 1.
    - `remove_diagonal`: whether an example makes no pair with itself.
    - `sample_weight`: `(batch,)`; an example of weight 0 is in no pair. The values aren't multiplied with it.

    **Returns:**

    One value per example `(batch,)`, 0 for those without a $P_i$ or an $N_i$; [`treegy.losses.Circle`][] leaves these
    out of the mean. They depend on the other examples of the batch, and so does their mean on how examples are cut into
    batches.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Sun et al., *Circle Loss: A Unified Perspective of Pair Similarity Optimization*, CVPR 2020.
    """
    return _values(y_true, y_pred, gamma, margin, remove_diagonal, sample_weight)[0]


def _values(
    y_true: Array,
    y_pred: Array,
    gamma: ArrayLike,
    margin: ArrayLike,
    remove_diagonal: bool,
    sample_weight: ArrayLike | None,
) -> tuple[Array, Array]:
    """Return the value of each example, and whether it has any."""
    embeddings, present = embedded(y_true, y_pred, sample_weight)
    positive, negative = pairs(y_true, present)
    if remove_diagonal:
        positive = others(positive)
    gamma, margin = jnp.asarray(gamma, embeddings.dtype), jnp.asarray(margin, embeddings.dtype)
    # Within bounds, outside of which values are infinite: differences of infinities, and gradients, would be NaN.
    largest = float(jnp.finfo(embeddings.dtype).max)
    bound = math.sqrt(largest / max(embeddings.shape[1], 1)) / 2
    embeddings = jnp.clip(embeddings, -bound, bound)
    distance = jnp.maximum(1 - embeddings @ embeddings.T, 0)
    furthest = (1 - 1e-6) * math.sqrt(largest) / jnp.sqrt(gamma)
    within = jnp.minimum(distance, furthest)
    near = -gamma * (margin + within) * (margin - within)
    far = gamma * jnp.maximum(1 + margin - distance, 0) * (1 - margin - jnp.minimum(distance, 1 + margin))
    positives, has_positive = log_sum_exp(near, positive)
    negatives, has_negative = log_sum_exp(far, negative)
    values, has_both = jax.nn.softplus(positives + negatives), has_positive & has_negative
    too_far = jnp.any(positive & (distance > furthest), axis=1)
    values = jnp.where(too_far, jnp.full_like(values, jnp.inf), values)
    return jnp.where(has_both, values, jnp.zeros_like(values)), has_both


class Circle(Loss):
    r"""The circle loss of labelled embeddings: [`treegy.losses.circle`][], of the examples that have both.

    **Raises:** `ValueError` where `gamma` isn't positive, or `margin` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Circle()
        embeddings = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
        assert loss(jnp.array([0, 0, 1, 1]), embeddings) < loss(jnp.array([0, 1, 0, 1]), embeddings)
        ```
    """

    gamma: ArrayLike = eqx.field(default=80.0, kw_only=True)
    """The scale of the similarities."""
    margin: ArrayLike = eqx.field(default=0.4, kw_only=True)
    """From where on similarities are good enough, from 0 to 1."""
    remove_diagonal: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("remove_diagonal"))
    """Whether an example makes no pair with itself."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_PAIRS

    def __check_init__(self) -> None:
        check_number("gamma", self.gamma, lambda g: g > 0, "a positive number")
        check_number("margin", self.margin, lambda m: 0 <= m <= 1, "a number from 0 to 1")

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: PyTree = None,
    ) -> Masked:
        return Masked(*_values(y_true, y_pred, self.gamma, self.margin, self.remove_diagonal, sample_weight))
