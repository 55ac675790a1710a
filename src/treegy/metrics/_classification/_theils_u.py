"""How much of what is uncertain about the labels the predicted classes tell."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from .._clusters._information import Information
from ._confusion_matrix import OfConfusionMatrix


class TheilsU(OfConfusionMatrix):
    r"""How much of what is uncertain about the labels the predicted classes tell, whatever these are called: the
    mutual information over the entropy of the labels, $U(y | \hat y) = \frac{H(y) - H(y | \hat y)}{H(y)}$ from 0 to 1.
    It is the uncertainty coefficient. Exchange `y_true` and `y_pred`, both class indices, for $U(\hat y | y)$, which
    is that of torchmetrics.

    It is 0 where all labels are of one class, and where there are none; [`treegy.metrics.Homogeneity`][], which is the
    same elsewhere, is 1 there. What it takes and raises is what [`treegy.metrics.ConfusionMatrix`][] does.

    ??? cite "Reference"

        Theil, *On the Estimation of Relationships Involving Qualitative Variables*, 1970.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        u = tg.metrics.TheilsU(num_classes=4)
        assert abs(float(u(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 2, 3]))) - 1) < 1e-6
        assert abs(float(u(jnp.array([0, 1, 2, 3]), jnp.array([0, 0, 1, 1]))) - 0.5) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _theils_u)


def _theils_u(matrix: Float[Array, "classes classes"]) -> Float[Array, ""]:
    found = Information.of(matrix)
    # Rounding may leave a little more than there is to tell.
    return jnp.minimum(safe_divide(found.mutual, found.of_classes), 1)
