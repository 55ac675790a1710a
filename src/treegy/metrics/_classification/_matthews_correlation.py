"""The correlation between labels and predicted classes."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._confusion_matrix import OfConfusionMatrix


class MatthewsCorrelation(OfConfusionMatrix):
    r"""The correlation between labels and predicted classes, from -1 to 1,
    $\frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}$ for two of them.

    For several, it is that of the one-hot vectors, $\text{cov}(y, \hat y) / \sqrt{\text{cov}(y, y)
    \text{cov}(\hat y, \hat y)}$ where a covariance is summed over classes. It is 0 where all labels, or all
    predictions, are of one class.

    What it takes and raises is what [`treegy.metrics.ConfusionMatrix`][] does.

    ??? cite "Reference"

        Gorodkin, *Comparing two K-category assignments by a K-category correlation coefficient*, 2004.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        correlation = tg.metrics.MatthewsCorrelation(num_classes=2)
        assert abs(float(correlation(jnp.array([1, 1, 1, 0]), jnp.array([1, 0, 1, 1]))) + 1 / 3) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _matthews_correlation)


def _matthews_correlation(matrix: Float[Array, "classes classes"]) -> Float[Array, ""]:
    shares = safe_divide(matrix, jnp.broadcast_to(jnp.sum(matrix), matrix.shape))
    others = 1 - jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    right, labels, predictions = jnp.diagonal(shares), jnp.sum(shares, axis=1), jnp.sum(shares, axis=0)
    wrongly, missed = jnp.sum(others * shares, axis=0), jnp.sum(others * shares, axis=1)

    def of_others(share: Array) -> Array:
        # For each class. Not 1 minus its own share, which is as inexact as 1 where a class is rare.
        return jnp.sum(others * share[None, :], axis=1)

    both = jnp.sum(right * (of_others(labels) - wrongly) - wrongly * missed)
    spread = [jnp.sqrt(jnp.sum(share * of_others(share))) for share in (labels, predictions)]
    return safe_divide(both, spread[0] * spread[1])
