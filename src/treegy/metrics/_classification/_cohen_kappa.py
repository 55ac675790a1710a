"""How much more labels and predictions agree than by chance."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import OneOf
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._confusion_matrix import OfConfusionMatrix

Weights: TypeAlias = Literal["linear", "quadratic"] | None

_as_weights = OneOf[Weights]("weights", "linear", "quadratic", None)


class CohenKappa(OfConfusionMatrix):
    r"""How much more labels and predictions agree than by chance, $1 - \sum_{ij} d_{ij} C_{ij} / \sum_{ij} d_{ij}
    E_{ij}$.

    $E_{ij} = \sum_k C_{ik} \sum_k C_{kj} / \sum_{kl} C_{kl}$ is what $C$ would be by chance, and $d_{ij}$ how wrong it
    is to predict $j$ for $i$. It is 0 where labels and predictions are all of the same class.

    What it takes and raises is what [`treegy.metrics.ConfusionMatrix`][] does; and a `ValueError` where `weights` is
    unknown.

    ??? cite "Reference"

        Cohen, *Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit*, 1968.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        kappa = tg.metrics.CohenKappa(num_classes=2)
        assert float(kappa(jnp.array([1, 1, 0, 0]), jnp.array([0, 1, 0, 0]))) == 0.5
        ```
    """

    weights: Weights = eqx.field(default=None, kw_only=True, static=True, converter=_as_weights)
    r"""How wrong predictions are: `None` for all alike, $d_{ij} = [i \ne j]$; `"linear"` for $|i - j|$; `"quadratic"`
    for $(i - j)^2$."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _cohen_kappa, weights=self.weights)


def _cohen_kappa(matrix: Float[Array, "classes classes"], weights: Weights) -> Float[Array, ""]:
    classes = jnp.arange(matrix.shape[0], dtype=matrix.dtype)
    apart = jnp.abs(classes[:, None] - classes[None, :])
    if weights is None:
        apart = (apart != 0).astype(matrix.dtype)
    elif weights == "quadratic":
        apart = apart**2
    shares = safe_divide(matrix, jnp.broadcast_to(jnp.sum(matrix), matrix.shape))
    by_chance = jnp.sum(shares, axis=1)[:, None] * jnp.sum(shares, axis=0)[None, :]
    expected = jnp.sum(apart * by_chance)
    return jnp.where(expected == 0, 0.0, 1 - safe_divide(jnp.sum(apart * shares), expected))
