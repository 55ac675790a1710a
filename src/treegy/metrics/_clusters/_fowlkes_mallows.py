"""How many of the pairs in a cluster are of a class, and the reverse."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._contingency import OfContingency
from ._pairs_of_examples import PairShares


class FowlkesMallows(OfContingency):
    r"""The geometric mean of precision and recall of pairs, $\frac{a}{\sqrt{(a + b)(a + c)}}$.

    $a$ is how many pairs of examples are together in both, $b$ in the cluster alone, and $c$ in the class alone. It is
    0 where no pair is together in both.

    What it takes and raises is what [`treegy.metrics.RandScore`][] does.

    ??? cite

        Fowlkes and Mallows, *A Method for Comparing Two Hierarchical Clusterings*, JASA 78 (1983).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.FowlkesMallows(num_classes=2, num_clusters=3)
        assert abs(float(score(jnp.array([0, 0, 1, 1]), jnp.array([2, 2, 0, 1]))) - 0.5**0.5) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _fowlkes_mallows)


def _fowlkes_mallows(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    a, b, c, _ = PairShares.of(table)
    return jnp.sqrt(safe_divide(a, a + b)) * jnp.sqrt(safe_divide(a, a + c))
