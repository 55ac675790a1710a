"""The smallest of any value."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._metric import Metric
from ._extremum import Extremum
from ._of import Of, accumulated, asking_weights_too, check_of


class Min(Metric):
    r"""The smallest value of all examples and axes whose weight isn't 0, $\min_i v_i$; $\infty$ where there is none.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        smallest = tg.metrics.Min()
        some, more = smallest(jnp.array([3.0, 5.0])), smallest(jnp.array([1.0, 7.0]))
        assert float(some.merge(more)) == 1
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True)
    """The name of a value, or a function that asks for values by name."""

    def __check_init__(self) -> None:
        check_of(self.of)

    def call(self, values: Any, sample_weight: Any = None) -> Any:
        """The smallest of the values; a dict of them for a dict of values."""
        return accumulated(values, sample_weight, _of)

    def _function(self) -> Callable[..., Any]:
        return asking_weights_too(self.of, "Min", self.call)


def _of(values: Any, weight: Any, mask: Any) -> Extremum:
    return Extremum.of(values, weight, mask, largest=False)
