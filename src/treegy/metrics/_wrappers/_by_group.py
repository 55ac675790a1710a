"""A metric by group."""

from collections.abc import Hashable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import flag, integer
from ..._describe import array_name, describe, is_arraylike
from ..._errors import ContractError
from ..._injection._inject import Request
from ..._terms._accumulator import Accumulator
from ..._terms._naming import default_name
from ..._terms._read import read, seen
from ..._terms._term import Context
from ..._terms._weights import as_summand
from ..._types import PyTree
from .._accumulators._shared import Derived
from .._accumulators._stacked import Stacked
from .._values._extremum import Extremum
from .._values._of import Of, as_of, asking
from ._wrapper import Wrapper, check_weighs, reweighted, weights_times


class Groups(Accumulator):
    """An accumulator for each group, and whether there were examples of none."""

    groups: Any
    outside: Extremum
    """The largest of 1 for each example that counts and was in no group, and 0 for others."""

    merges_parts: ClassVar[bool] = True

    def empty(self) -> "Groups":
        return Groups(self.groups.empty(), self.outside.empty())

    def merge(self, other: "Groups") -> "Groups":
        return Groups(self.groups.merge(other.groups), self.outside.merge(other.outside))

    def compute(self) -> PyTree:
        outside = self.outside.compute() > 0
        return jax.tree.map(
            lambda metric_values: jnp.where(outside, jnp.nan, as_summand(metric_values)), self.groups.compute()
        )


class ByGroup(Wrapper):
    """A metric by group: one metric value for each, of its examples alone.

    The metric values are one array `(num_groups, ...)`; [`treegy.metrics.Classwise`][] gives them names. A group
    without examples has the value that the metric has without any. It is called after the metric,
    `accuracy_by_group`.

    The other examples of the batch have weight 0 in a group, which removes them even where they are NaN: so any metric
    will do that is about examples and understands weights, also one that is a wrapper itself. It is computed
    `num_groups` times, by one `jax.vmap`.

    Groups are numbers from 0 to `num_groups - 1`. Any other makes all metric values NaN, unless `check_bounds=False`:
    then its examples are in no group. Examples of weight 0 may have any.

    **Raises:** `TypeError` where `metric` isn't a metric, `ValueError` where it isn't about examples or `num_groups` is
    less than 1. [`treegy.ContractError`][] where `by` doesn't give an integer for each example.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        by_site = tg.metrics.ByGroup(tg.metrics.MeanSquaredError(), by=lambda x: x["site"], num_groups=3)
        batch = by_site(jnp.zeros(4), jnp.array([1.0, 2.0, 3.0, 5.0]), x={"site": jnp.array([0, 0, 2, 2])})
        assert batch.compute().tolist() == [2.5, 0, 17]
        ```
    """

    # Static, since neither a name nor a function is a number.
    by: Of = eqx.field(kw_only=True, static=True, converter=as_of("by"))
    """The group of each example: the name of a value, or a function that asks for values by name. Integers `(batch,)`,
    or `(batch, time)` if the metric has values of that shape; or booleans."""
    # Static, as it is the shape of the metric value.
    num_groups: int = eqx.field(
        kw_only=True, static=True, converter=integer("num_groups", "the number of groups", least=1)
    )
    """How many groups there are."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether a group that isn't from 0 to `num_groups - 1` makes all metric values NaN, and isn't left out."""

    def __check_init__(self) -> None:
        check_weighs("ByGroup", self.metric)

    def _wrapped_name(self) -> str:
        return f"{default_name('metric', self.metric)}_by_group"

    def _asked(self) -> Request:
        return asking(self.by, "ByGroup").request

    def _over(self, context: Context) -> dict[str, Accumulator]:
        term, labels = self._term(), self._labels(context)

        def of(group: Array) -> dict[str, Accumulator]:
            return reweighted(term, context, labels == group)

        try:
            found = jax.vmap(of)(jnp.arange(self.num_groups, dtype=labels.dtype))
        except ContractError as e:
            if labels.ndim == 1:
                raise
            shape = array_name(labels)
            raise ContractError(f"{e} These weights are those of a group, for each that `by` gives, {shape}.") from None
        astray = (labels < 0) | (labels >= self.num_groups)
        outside = (
            jnp.any(weights_times(term, read(term, context), astray) != 0) if self.check_bounds else jnp.zeros((), bool)
        )
        outside = Extremum(outside.astype(jnp.float32), largest=True)
        return {name: Groups(Stacked.of(one), outside) for name, one in found.items()}

    def _accumulates(self, context: Context) -> Hashable:
        what = self.metric._accumulates(seen(self._term(), context)) if issubclass(type(self.metric), Derived) else None
        return None if what is None else (ByGroup, what, self.by, self.num_groups, self.check_bounds, self.on)

    def _metric_value(self, accumulated: Groups) -> Groups:
        # A metric value of what is stacked is only wrapped around it, as `Stacked.of` expects it.
        return Groups(Stacked.of(self.metric._metric_value(accumulated.groups.part.each)), accumulated.outside)

    def _labels(self, context: Context) -> Array:
        by = asking(self.by, "ByGroup")
        labels = by.run(context._replace(available=by.take(context.available, "`by`")))
        if not is_arraylike(labels) or not (jnp.issubdtype(labels.dtype, jnp.integer) or labels.dtype == bool):
            raise ContractError(
                f"`by` gives {describe(labels)}, and integers are expected, the group of each example. For one-hot "
                "labels pass their `jnp.argmax(..., axis=-1)`."
            )
        if labels.ndim == 0 or labels.shape[0] != context.size:
            raise ContractError(
                f"`by` gives {array_name(labels)} for {context.size} examples, and a group for each of them is "
                "expected."
            )
        # Small and unsigned integers couldn't be compared with the number of groups.
        return labels if labels.dtype == jnp.int64 else labels.astype(jnp.int32)
