"""What clusters tell about classes."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._contingency import OfContingency
from ._information import Average, Information, as_average, averaged


class MutualInformation(OfContingency):
    r"""What clusters tell about classes, $I = \sum_{ij} p_{ij} \log \frac{p_{ij}}{p_i q_j}$, in nats.

    $p_{ij}$ is the share of examples of class $i$ in cluster $j$, $p_i$ that of the class and $q_j$ that of the
    cluster. It is 0 without examples.

    What it takes and raises is what [`treegy.metrics.RandScore`][] does; a weight may be any number here.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        information = tg.metrics.MutualInformation(num_classes=2)
        assert abs(float(information(jnp.array([0, 0, 1, 1]), jnp.array([1, 1, 0, 0]))) - 0.693147) < 1e-5
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _mutual_information)


def _mutual_information(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    return Information.of(table).mutual


class NormalizedMutualInformation(OfContingency):
    r"""The mutual information divided by a mean of the entropies of classes and clusters, $I / M(H, K)$, from 0 to 1.

    It is 1 where all examples are of one class and in one cluster, and where there are none; else 0 where they tell
    nothing. With many clusters it is well above 0 by chance alone; [`treegy.metrics.AdjustedMutualInformation`][]
    isn't.

    What it takes and raises is what [`treegy.metrics.MutualInformation`][] does, and `ValueError` where `average` is
    unknown.

    ??? cite

        Strehl and Ghosh, *Cluster Ensembles*, JMLR 3 (2002).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        information = tg.metrics.NormalizedMutualInformation(num_classes=2)
        assert abs(float(information(jnp.array([0, 0, 1, 1]), jnp.array([1, 1, 0, 0]))) - 1) < 1e-6
        ```
    """

    average: Average = eqx.field(default="arithmetic", kw_only=True, static=True, converter=as_average)
    """Which mean of the two entropies: `"arithmetic"`, `"geometric"`, `"min"` or `"max"`."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _normalized, average=self.average)


def _normalized(table: Float[Array, "classes clusters"], average: Average) -> Float[Array, ""]:
    information = Information.of(table)
    value = safe_divide(information.mutual, averaged(information.of_classes, information.of_clusters, average))
    return jnp.where(information.trivial, jnp.ones_like(value), value)
