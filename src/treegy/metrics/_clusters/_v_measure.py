"""How pure clusters are, and how whole classes stay."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import fixed_number
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._contingency import OfContingency
from ._information import Information


class Homogeneity(OfContingency):
    r"""How far each cluster is of one class: the mutual information over the entropy of the classes, $h = I / H$.

    It is 1 where all examples are of one class, and where there are none.

    What it takes and raises is what [`treegy.metrics.MutualInformation`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        pure = tg.metrics.Homogeneity(num_classes=2, num_clusters=4)
        assert abs(float(pure(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 2, 3]))) - 1) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _homogeneity)


class Completeness(OfContingency):
    r"""How far each class is in one cluster: the mutual information over the entropy of the clusters, $c = I / K$.

    It is 1 where all examples are in one cluster, and where there are none.

    What it takes and raises is what [`treegy.metrics.MutualInformation`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        whole = tg.metrics.Completeness(num_classes=2, num_clusters=4)
        assert abs(float(whole(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 2, 3]))) - 0.5) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _completeness)


class VMeasure(OfContingency):
    r"""The harmonic mean of homogeneity and completeness, $\frac{(1 + \beta) h c}{\beta h + c}$; 0 where both are 0.

    With `beta=1` it is the normalized mutual information with the arithmetic mean.

    What it takes and raises is what [`treegy.metrics.MutualInformation`][] does, and `ValueError` where `beta` isn't
    positive.

    ??? cite

        Rosenberg and Hirschberg, *V-Measure: A Conditional Entropy-Based External Cluster Evaluation Measure*,
        EMNLP-CoNLL 2007.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        measure = tg.metrics.VMeasure(num_classes=2, num_clusters=4)
        assert abs(float(measure(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 2, 3]))) - 2 / 3) < 1e-6
        ```
    """

    # Static, since it belongs to what is made of the table.
    beta: float = eqx.field(
        default=1.0, kw_only=True, static=True, converter=fixed_number("beta", "a positive number", lambda b: b > 0)
    )
    """How much more completeness counts than homogeneity."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _v_measure, beta=self.beta)


def _homogeneity(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    information = Information.of(table)
    return _share(information, information.of_classes)


def _completeness(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    information = Information.of(table)
    return _share(information, information.of_clusters)


def _v_measure(table: Float[Array, "classes clusters"], beta: float) -> Float[Array, ""]:
    information = Information.of(table)
    pure, whole = (_share(information, entropy) for entropy in (information.of_classes, information.of_clusters))
    return safe_divide((1 + beta) * pure * whole, beta * pure + whole)


def _share(information: Information, entropy: Array) -> Array:
    share = safe_divide(information.mutual, entropy)
    return jnp.where(entropy == 0, jnp.ones_like(share), share)
