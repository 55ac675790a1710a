"""The standard deviation of any value."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._metric import Metric
from ..._terms._powers import times_power
from ..._terms._term import Asking
from ..._types import PyTree
from .._accumulators._moments import Statistics
from .._accumulators._value_of import ValueOf
from ._of import Of, accumulated, as_of, asking_weights_too, check_of_examples
from ._variance import flat_moments, scaled_variance_of


class Std(Metric):
    r"""The standard deviation of any value, the root of its [`treegy.metrics.Variance`][].

    **Raises:** what [`treegy.metrics.Variance`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        spread = tg.metrics.Std(of=lambda y_true, y_pred: y_pred - y_true, name="spread_of_errors")
        assert float(spread(y_true=jnp.array([1.0, 2.0]), y_pred=jnp.array([2.0, 5.0]))) == 1
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True, converter=as_of("of"))
    """The name of a value, or a function that asks for values by name and returns one value per example."""

    def __check_init__(self) -> None:
        check_of_examples(self.of, "standard deviation")

    def call(self, values: PyTree, sample_weight: PyTree = None) -> PyTree:
        """The standard deviation of the values; a dict of them for a dict of values."""
        return accumulated(values, sample_weight, _of)

    def _asking(self) -> Asking:
        return asking_weights_too(self.of, "Std", self.call)


def _of(values: PyTree, weight: PyTree, mask: PyTree) -> ValueOf:
    return ValueOf(flat_moments(values, weight, mask), _std_of)


def _std_of(statistics: Statistics) -> Array:
    return times_power(jnp.sqrt(scaled_variance_of(statistics)), statistics.exponents[0])
