"""Metrics of fairness: how far rates of predictions are from equal in all groups."""

import abc
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._converters import flag, integer
from ..._terms._accumulator import Accumulator, safe_divide
from ..._terms._metric import Metric
from ..._terms._term import Asking, Context, make_term, size_of
from ..._types import PyTree
from .._accumulators._value_of import ValueOf
from .._values._of import Of, as_of
from .._wrappers._by_group import ByGroup


class BetweenGroups(Metric):
    """A metric value of how often predictions are positive in each group. The counts of each group are accumulated."""

    predictions: ClassVar[str | None] = "probabilities"

    # Static, since neither a name nor a function is a number.
    by: Of = eqx.field(kw_only=True, static=True, converter=as_of("by"))
    """The group of each example: the name of a value, or a function that asks for values by name. Integers `(batch,)`,
    or booleans."""
    # Static, since it is the shape of what is accumulated.
    num_groups: int = eqx.field(
        kw_only=True, static=True, converter=integer("num_groups", "the number of groups", least=2)
    )
    """How many groups there are. Those without examples don't count."""
    threshold: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """Predictions above it stand for class 1."""
    # Static, since they belong to what is made of the counts.
    ratio: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("ratio"))
    """Whether the smallest rate is divided by the largest, and not taken from it."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether a group that isn't from 0 to `num_groups - 1` makes the metric value NaN, and isn't left out."""

    def __check_init__(self) -> None:
        check_number("threshold", self.threshold, lambda t: t == t, "a number")

    @abc.abstractmethod
    def _counts(self) -> Metric:
        """Return the metric whose values by group are made into one."""

    @abc.abstractmethod
    def _value(self, by_group: Accumulator) -> ValueOf:
        """Return what is made of them."""

    def call(self, **values: PyTree) -> PyTree:
        """What the rates of the groups of a batch are made of."""
        return self._asking().run(Context(values, size_of(values), values.get("sample_weight")))

    def _asking(self) -> Asking:
        by_group = ByGroup(self._counts(), by=self.by, num_groups=self.num_groups, check_bounds=self.check_bounds)
        asking = make_term("metric", by_group, "").asking
        return Asking(type(self).__name__, asking.request, lambda context: self._value(asking.run(context)))


def apart(rates: Float[Array, "groups"], weights: Float[Array, "groups"], *, ratio: bool) -> Float[Array, ""]:
    """Return the largest of the rates minus the smallest, or the smallest divided by it; 0 or 1 where all are 0.

    Those of groups whose weight is 0 don't count.
    """
    there = weights != 0
    most = jnp.max(jnp.where(there, rates, 0))
    least = jnp.min(jnp.where(there, rates, most))
    if not ratio:
        return most - least
    return jnp.where(most == 0, 1, safe_divide(least, most))
