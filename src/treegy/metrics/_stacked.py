"""Several accumulators of the same kind, as one."""

from typing import Any

import jax

from .._accumulator import Accumulator


class Stacked(Accumulator):
    """Accumulators of the same kind, their arrays stacked along a first axis, as `jax.vmap` gives them.

    They are merged one by one. Their figures are stacked too, or each of them where there are several.
    """

    each: Any

    def empty(self) -> "Stacked":
        return Stacked(jax.vmap(lambda one: one.empty())(self.each))

    def merge(self, other: Any) -> "Stacked":
        return Stacked(jax.vmap(lambda one, more: one.merge(more))(self.each, other.each))

    def compute(self) -> Any:
        return jax.vmap(lambda one: one.compute())(self.each)
