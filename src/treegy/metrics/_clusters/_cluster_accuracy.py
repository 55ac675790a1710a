"""The accuracy of clusters under the best names."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._contingency import OfContingency


class ClusterAccuracy(OfContingency):
    r"""The share of examples that are right if each cluster is named after a class as well as possible,
    $\max_\sigma \frac{1}{n} \sum_i n_{i \sigma(i)}$.

    Each class names at most one cluster: if there are more clusters than classes, the others are wrong. The best names
    are found by the Hungarian algorithm, once for the whole data. It is 0 without examples.

    What it takes and raises is what [`treegy.metrics.RandScore`][] does; a weight may be any number here.

    ??? cite

        Kuhn, *The Hungarian Method for the Assignment Problem*, Naval Research Logistics Quarterly 2 (1955).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.ClusterAccuracy(num_classes=2, num_clusters=3)
        assert float(accuracy(jnp.array([0, 0, 1, 1]), jnp.array([2, 2, 0, 1]))) == 0.75
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _cluster_accuracy)


def _cluster_accuracy(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    total = jnp.sum(table)
    shares = safe_divide(table, jnp.broadcast_to(total, table.shape))
    # Of NaN the search would find no end.
    known = jnp.where(jnp.isfinite(shares), shares, jnp.zeros_like(shares))
    # Optax computes in the default dtypes, whichever those of the table are.
    with jax.numpy_dtype_promotion("standard"):
        rows, columns = optax.assignment.hungarian_algorithm(-jax.lax.stop_gradient(known))
    return jnp.where(jnp.isnan(total), total, jnp.sum(shares[rows, columns]))
