"""How strongly labels and predicted classes depend on each other."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import flag
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._confusion_matrix import OfConfusionMatrix


class CramersV(OfConfusionMatrix):
    r"""How strongly labels and predicted classes depend on each other, whatever these are called,
    $\sqrt{\frac{\chi^2 / n}{\min(r, c) - 1}}$ from 0 to 1, with $\chi^2 / n = \sum_{ij} \frac{(p_{ij} - p_i q_j)^2}{p_i
    q_j}$ of the shares $p_{ij}$ of the confusion matrix, the shares $p_i$ of its rows and $q_j$ of its columns, of
    which $r$ and $c$ aren't empty.

    It is 0 where labels, or predictions, are all of one class. What it takes and raises is what
    [`treegy.metrics.ConfusionMatrix`][] does.

    ??? cite "Reference"

        Bergsma, *A bias-correction for Cramér's V and Tschuprow's T*, 2013.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        v = tg.metrics.CramersV(num_classes=3)
        assert abs(float(v(jnp.array([0, 0, 1, 2]), jnp.array([1, 1, 2, 0]))) - 1) < 1e-6
        ```
    """

    bias_correction: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("bias_correction"))
    r"""Whether what few examples show by chance is taken away, of $n$ their total weight:
    $\frac{(r - 1)(c - 1)}{n - 1}$ of $\chi^2 / n$, $\frac{(r - 1)^2}{n - 1}$ of $r$ and likewise of $c$."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _cramers_v, bias_correction=self.bias_correction)


def _cramers_v(matrix: Float[Array, "classes classes"], bias_correction: bool) -> Float[Array, ""]:
    total = jnp.sum(matrix)
    shares = safe_divide(matrix, jnp.broadcast_to(total, matrix.shape))
    labels, predictions = jnp.sum(shares, axis=1), jnp.sum(shares, axis=0)
    by_chance = labels[:, None] * predictions[None, :]
    association = jnp.sum(safe_divide((shares - by_chance) ** 2, by_chance))
    rows, columns = (jnp.sum(each > 0).astype(matrix.dtype) for each in (labels, predictions))
    several = (rows > 1) & (columns > 1)
    if bias_correction:
        others = jnp.maximum(total - 1, 0)
        association = jnp.maximum(association - safe_divide((rows - 1) * (columns - 1), others), 0)
        rows, columns = (each - safe_divide((each - 1) ** 2, others) for each in (rows, columns))
    most = jnp.minimum(rows, columns) - 1
    value = jnp.where(several & (most > 0), jnp.sqrt(safe_divide(association, most)), 0)
    return jnp.where(jnp.isnan(total), jnp.nan, value)
