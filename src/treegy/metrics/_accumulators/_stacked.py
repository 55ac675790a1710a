"""Several accumulators of the same kind, as one."""

from collections.abc import Callable

import jax

from ..._terms._accumulator import Accumulator
from ..._types import PyTree
from ._value_of import ValueOf


class Stacked(Accumulator):
    """Accumulators of the same kind, their arrays stacked along a first axis, as `jax.vmap` gives them.

    They are merged one by one. Their metric values are stacked too, or each of them where there are several.
    """

    each: Accumulator
    """One whose arrays have an axis more, the first."""

    @staticmethod
    def of(each: Accumulator) -> Accumulator:
        """Return what `jax.vmap` gave; of what is made of other values, made of these, which metrics may share."""
        if not isinstance(each, ValueOf):
            return Stacked(each)
        # The part is what is shared, so it is stacked inside.
        return ValueOf(Stacked(each.part), _of_each, of=each.function, options=each.options)

    def empty(self) -> "Stacked":
        return Stacked(jax.vmap(lambda one: one.empty())(self.each))

    def merge(self, other: "Stacked") -> "Stacked":
        return Stacked(jax.vmap(lambda one, more: one.merge(more))(self.each, other.each))

    def compute(self) -> PyTree:
        return jax.vmap(lambda one: one.compute())(self.each)


def _of_each(computed: PyTree, of: Callable[..., PyTree], options: tuple[tuple[str, object], ...]) -> PyTree:
    return jax.vmap(lambda one: of(one, **dict(options)))(computed)
