"""Several accumulators of the same kind, as one."""

from collections.abc import Callable
from typing import Any

import jax

from ..._terms._accumulator import Accumulator
from ._value_of import ValueOf


class Stacked(Accumulator):
    """Accumulators of the same kind, their arrays stacked along a first axis, as `jax.vmap` gives them.

    They are merged one by one. Their metric values are stacked too, or each of them where there are several.
    """

    each: Any

    @staticmethod
    def of(each: Accumulator) -> Accumulator:
        """What `jax.vmap` gave; of values that are made of others, the values of these, which metrics may share."""
        if not isinstance(each, ValueOf):
            return Stacked(each)
        return ValueOf(Stacked(each.part), _of_each, of=each.function, options=each.options)

    def empty(self) -> "Stacked":
        return Stacked(jax.vmap(lambda one: one.empty())(self.each))

    def merge(self, other: Any) -> "Stacked":
        return Stacked(jax.vmap(lambda one, more: one.merge(more))(self.each, other.each))

    def compute(self) -> Any:
        return jax.vmap(lambda one: one.compute())(self.each)


def _of_each(computed: Any, of: Callable[..., Any], options: tuple[tuple[str, Any], ...]) -> Any:
    return jax.vmap(lambda one: of(one, **dict(options)))(computed)
