"""The smallest and the largest of some values, which `Min` and `Max` share."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._accumulator import Accumulator, as_summand, weigh


class Extremum(Accumulator):
    """The smallest or the largest value: infinite where there is none, NaN where one of them is."""

    value: Array
    largest: bool = eqx.field(static=True)

    @staticmethod
    def of(values: Any, weight: Any, mask: Any, *, largest: bool) -> "Extremum":
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

    def merge(self, other: Any) -> "Extremum":
        pick = jnp.maximum if self.largest else jnp.minimum
        return Extremum(pick(self.value, other.value), self.largest)

    def compute(self) -> Array:
        return self.value


def _nothing(like: Array, largest: bool) -> Array:
    return jnp.full_like(like, -jnp.inf if largest else jnp.inf)
