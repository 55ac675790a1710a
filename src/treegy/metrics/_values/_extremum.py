"""The largest and the smallest of any value."""

import functools
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._terms._accumulator import Accumulator
from ..._terms._metric import Metric
from ..._terms._term import Asking
from ..._terms._weights import as_summand, weigh
from ..._types import PyTree
from ._of import Of, accumulated, as_of, asking_weights_too


class Extremum(Accumulator):
    """The smallest or the largest value: infinite where there is none, NaN where one of them is."""

    value: Array
    largest: bool = eqx.field(static=True)

    @staticmethod
    def of(values: PyTree, weight: PyTree, mask: PyTree, *, largest: bool) -> "Extremum":
        """The extremum of all values whose weight isn't 0, over every axis.

        **Arguments:**

        - `values`: `(batch, ...)`.
        - `weight`, `mask`: `(batch, ...)`, lining up with the leading axes of `values`.
        - `largest`: whether it is the largest, and not the smallest.

        **Raises:** [`treegy.ContractError`][] where the axes don't line up.
        """
        values = as_summand(values)
        _, weights, _ = weigh(values, weight, mask)
        nothing = _nothing(values, largest)
        values = jnp.where(weights != 0, values, nothing)
        initial = -jnp.inf if largest else jnp.inf
        return Extremum((jnp.max if largest else jnp.min)(values, initial=initial), largest)

    def empty(self) -> "Extremum":
        return Extremum(_nothing(self.value, self.largest), self.largest)

    def merge(self, other: "Extremum") -> "Extremum":
        pick = jnp.maximum if self.largest else jnp.minimum
        return Extremum(pick(self.value, other.value), self.largest)

    def compute(self) -> Array:
        return self.value


def _nothing(like: Array, largest: bool) -> Array:
    return jnp.full_like(like, -jnp.inf if largest else jnp.inf)


class ExtremeValue(Metric):
    """The smallest or the largest of any value."""

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True, converter=as_of("of"))
    """The name of a value, or a function that asks for values by name."""

    largest: ClassVar[bool]

    def call(self, values: PyTree, sample_weight: PyTree = None) -> PyTree:
        """The extremum of the values; a dict of them for a dict of values."""
        return accumulated(values, sample_weight, functools.partial(Extremum.of, largest=self.largest))

    def _asking(self) -> Asking:
        return asking_weights_too(self.of, type(self).__name__, self.call)


class Max(ExtremeValue):
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

    largest: ClassVar[bool] = True


class Min(ExtremeValue):
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

    largest: ClassVar[bool] = False
