"""What clusters tell about classes, beyond chance."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._contingency import OfContingency
from ._information import Average, Information, as_average, averaged


class AdjustedMutualInformation(OfContingency):
    r"""The mutual information beyond chance, $\frac{I - E}{M(H, K) - E}$: 0 by chance, 1 where partitions agree.

    $E$ is the expected mutual information of two partitions with such classes and clusters whose examples are shuffled,
    and $M$ a mean of their entropies. It is 1 where all examples are of one class and in one cluster, and where there
    are none; 0 where that is so of one of the two alone.

    $E$ is a sum over hypergeometric distributions. Only what is near the most probable number of each counts, so that
    it takes a multiple of $\sqrt n$ steps of $n$ examples, when the metric value is computed. A weight says how often
    an example is there.

    What it takes and raises is what [`treegy.metrics.NormalizedMutualInformation`][] does.

    ??? cite

        Vinh, Epps and Bailey, *Information Theoretic Measures for Clusterings Comparison*, JMLR 11 (2010).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        information = tg.metrics.AdjustedMutualInformation(num_classes=2, num_clusters=3)
        assert abs(float(information(jnp.array([0, 0, 0, 1, 1, 1]), jnp.array([1, 1, 0, 0, 2, 2]))) - 0.298792) < 1e-5
        ```
    """

    average: Average = eqx.field(default="arithmetic", kw_only=True, static=True, converter=as_average)
    """Which mean of the two entropies: `"arithmetic"`, `"geometric"`, `"min"` or `"max"`."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _adjusted, average=self.average)


def _adjusted(table: Float[Array, "classes clusters"], average: Average) -> Float[Array, ""]:
    information = Information.of(table)
    expected = expected_information(table)
    beyond = information.mutual - expected
    most = averaged(information.of_classes, information.of_clusters, average) - expected
    # Where no partition tells more than chance does, as of examples that all have a class of their own, what is left
    # of both is rounding, and they agree.
    nothing = jnp.abs(most) < 1e-6 * (1 + information.of_classes)
    value = jnp.where(nothing & (jnp.abs(beyond) <= 1e-5), jnp.ones_like(most), safe_divide(beyond, most))
    certain = (information.of_classes == 0) | (information.of_clusters == 0)
    value = jnp.where(certain, jnp.zeros_like(value), value)
    return jnp.where(information.trivial, jnp.ones_like(value), value)


class _Walk(NamedTuple):
    """Two walks from the most probable numbers, up and down, for each class and cluster."""

    step: Array
    up: Array
    down: Array
    """Probabilities, relative to the most probable one."""
    total: Array
    weighted: Array


# What is less probable than the most probable number by this factor doesn't show in float32.
_LEAST = 1e-10


def expected_information(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    r"""Return the expected mutual information of shuffled examples.

    Of class $i$ with $a$ examples and cluster $j$ with $b$ of $n$, $k$ are in common with a hypergeometric probability.
    It is had by the ratios of successive ones from the most probable $k$ on and divided by the sum of all: logarithms
    of factorials would leave nothing of it in float32.
    """
    n = jnp.sum(table)
    a, b = (jnp.broadcast_to(jnp.sum(table, axis=axis, keepdims=True), table.shape) for axis in (1, 0))
    there = (a > 0) & (b > 0) & jnp.isfinite(n)
    a, b = (jnp.where(there, each, jnp.ones_like(each)) for each in (a, b))
    n = jnp.where(jnp.isfinite(n) & (n > 0), n, jnp.ones_like(n))
    # What is in neither if nothing is in common; below 0 where something must be.
    rest = n - a - b
    most_probable = jnp.clip(jnp.floor((a + 1) / (n + 2) * (b + 1)), jnp.maximum(0, jnp.ceil(-rest)), jnp.minimum(a, b))

    def told(number: Array) -> Array:
        """Return the term of the mutual information where so many examples are in common."""
        some = number > 0
        ratio = jnp.where(some, number, jnp.ones_like(number)) / a * (n / b)
        return jnp.where(some, number / n * jnp.log(ratio), jnp.zeros_like(number))

    def again(walk: _Walk) -> Array:
        return jnp.any(there & (jnp.maximum(walk.up, walk.down) > _LEAST))

    def walked(walk: _Walk) -> _Walk:
        higher, lower = most_probable + walk.step, most_probable - walk.step
        up = walk.up * jnp.maximum((a - higher) * ((b - higher) / ((higher + 1) * (rest + higher + 1))), 0)
        down = walk.down * jnp.maximum(lower / (a - lower + 1) * ((rest + lower) / (b - lower + 1)), 0)
        # Numbers that aren't there, such as negative ones, have no terms.
        up, down = jnp.where(higher < jnp.minimum(a, b), up, 0), jnp.where(lower > jnp.maximum(0, -rest), down, 0)
        weighted = walk.weighted + up * told(higher + 1) + down * told(lower - 1)
        return _Walk(walk.step + 1, up, down, walk.total + up + down, weighted)

    one = jnp.ones_like(a)
    start = _Walk(jnp.zeros_like(n), one, one, one, told(most_probable))
    end = jax.lax.while_loop(again, walked, start)
    return jnp.sum(jnp.where(there, end.weighted / end.total, jnp.zeros_like(a)))
