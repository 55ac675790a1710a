"""The largest of any value."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._metric import Metric
from ._extremum import Extremum
from ._of import Of, accumulated, asking_weights_too, check_of


class Max(Metric):
    r"""The largest value of all examples and axes whose weight isn't 0, $\max_i v_i$; $-\infty$ where there is none.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        largest = tg.metrics.Max()
        some, more = largest(jnp.array([3.0, 5.0])), largest(jnp.array([1.0, 7.0]))
        assert float(some.merge(more)) == 7
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True)
    """The name of a value, or a function that asks for values by name."""

    def __check_init__(self) -> None:
        check_of(self.of)

    def call(self, values: Any, sample_weight: Any = None) -> Any:
        """The largest of the values; a dict of them for a dict of values."""
        return accumulated(values, sample_weight, _of)

    def _function(self) -> Callable[..., Any]:
        return asking_weights_too(self.of, "Max", self.call)


def _of(values: Any, weight: Any, mask: Any) -> Extremum:
    return Extremum.of(values, weight, mask, largest=True)
