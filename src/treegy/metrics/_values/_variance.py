"""The variance of any value."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._accumulator import safe_divide
from ..._terms._metric import Metric
from ..._terms._powers import times_power
from ..._terms._term import Asking
from ..._terms._weights import weigh
from ..._types import PyTree
from .._accumulators._moments import Moments, Statistics
from .._accumulators._value_of import ValueOf
from ._of import Of, accumulated, as_of, asking_weights_too, check_of_examples


class Variance(Metric):
    r"""The variance of any value over all examples and axes, $\sum_i w_i (v_i - \bar v)^2 / \sum_i w_i$.

    It is that of the population, as `numpy.var` computes it; 0 where there are no values. Values that are large
    against how much they vary lose nothing.

    **Raises:** `ValueError` where `of` asks for none of `x`, `y_true`, `y_pred` and `sample_weight`: how often such
    a value counted would depend on how the examples are cut into batches.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        variance = tg.metrics.Variance()
        some, more = variance(jnp.array([1.0, 3.0])), variance(jnp.array([5.0, 7.0]))
        assert (float(some), float(some.merge(more))) == (1, 5)
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True, converter=as_of("of"))
    """The name of a value, or a function that asks for values by name and returns one value per example."""

    def __check_init__(self) -> None:
        check_of_examples(self.of, "variance")

    def call(self, values: PyTree, sample_weight: PyTree = None) -> PyTree:
        """The variance of the values; a dict of them for a dict of values."""
        return accumulated(values, sample_weight, _of)

    def _asking(self) -> Asking:
        return asking_weights_too(self.of, "Variance", self.call)


def flat_moments(values: PyTree, weight: PyTree, mask: PyTree) -> Moments:
    """The moments of all values, over every axis."""
    _, weights, _ = weigh(values, weight, mask)
    return Moments.of((jnp.ravel(values),), jnp.ravel(weights))


def variance_of(statistics: Statistics) -> Array:
    return times_power(scaled_variance_of(statistics), 2 * statistics.exponents[0])


def scaled_variance_of(statistics: Statistics) -> Array:
    """The variance of values that are divided by their scale."""
    return safe_divide(statistics.products[0, 0], statistics.weight)


def _of(values: PyTree, weight: PyTree, mask: PyTree) -> ValueOf:
    return ValueOf(flat_moments(values, weight, mask), variance_of)
