"""How often each class is predicted where it is the label, on average."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import flag
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._confusion_matrix import OfConfusionMatrix


class BalancedAccuracy(OfConfusionMatrix):
    r"""The mean recall of the classes that occur as labels, $\frac{1}{K} \sum_i C_{ii} / \sum_j C_{ij}$; 0 for none.

    What it takes and raises is what [`treegy.metrics.ConfusionMatrix`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.BalancedAccuracy(num_classes=2)
        assert float(accuracy(jnp.array([0, 0, 1, 1]), jnp.array([0, 0, 0, 1]))) == 0.75
        ```
    """

    adjusted: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("adjusted"))
    r"""Whether to show $(b - 1/K) / (1 - 1/K)$ instead: 0 is chance, and 1 perfect."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _balanced_accuracy, adjusted=self.adjusted)


def _balanced_accuracy(matrix: Float[Array, "classes classes"], adjusted: bool) -> Float[Array, ""]:
    occurrences = jnp.sum(matrix, axis=1)
    occurring = jnp.sum(occurrences != 0).astype(matrix.dtype)
    mean = safe_divide(jnp.sum(safe_divide(jnp.diagonal(matrix), occurrences)), occurring)
    if not adjusted:
        return mean
    # By K: (K b - 1) / (K - 1).
    return jnp.where(occurring == 0, mean, safe_divide(occurring * mean - 1, occurring - 1))
