"""A metric over the last few batches."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import integer
from ..._terms._accumulator import Accumulator
from ..._terms._naming import default_name
from ..._terms._term import Context
from ..._types import PyTree
from .._accumulators._stacked import Stacked
from ._wrapper import Wrapper, parts_of


class Recent(Accumulator):
    """The accumulators of the last $k$ batches, the newest at the end; those that there are not yet are of nothing.

    `merge` puts the batches of the other after its own. It is associative with `empty()` as its identity, and does not
    commute: what is last depends on the order.
    """

    batches: Stacked
    count: Array
    """How many there are."""

    @staticmethod
    def of(context: Accumulator, k: int) -> "Recent":
        """The accumulator of one batch, with room for `k`."""

        def last(nothing: Array, one: Array) -> Array:
            return jnp.concatenate([jnp.broadcast_to(nothing, (k - 1, *one.shape)), one[None]])

        return Recent(Stacked(jax.tree.map(last, context.empty(), context)), jnp.ones((), jnp.int32))

    def empty(self) -> "Recent":
        return Recent(self.batches.empty(), jnp.zeros_like(self.count))

    def merge(self, other: "Recent") -> "Recent":
        k = len(jax.tree.leaves(self.batches)[0])
        at = jnp.arange(k, dtype=self.count.dtype)
        # Of all 2k in a row: what follows the oldest ones here, then the others without those that are of nothing.
        at = jnp.where(at < k - other.count, at + other.count, at + k)

        def joined(mine: Array, theirs: Array) -> Array:
            return jnp.concatenate([mine, theirs])[at]

        batches = jax.tree.map(joined, self.batches, other.batches)
        return Recent(batches, jnp.minimum(self.count + other.count, k))

    def compute(self) -> PyTree:
        first = jax.tree.map(lambda a: a[0], self.batches.each)
        total, _ = jax.lax.scan(lambda total, one: (total.merge(one), None), first.empty(), self.batches.each)
        return total.compute()


class Running(Wrapper):
    """A metric over the last `k` batches, for a metric value that follows training as it runs.

    It is exact: the accumulators of the last `k` batches are kept, $k$ times the room of one, and merged when it is
    looked at. As that of any metric, its value begins again with each epoch. It is called after the metric,
    `running_accuracy`.

    What it shows depends on the batches by its meaning: how the data is cut into them, and in which order they come.
    Merging is associative, but unlike that of other metrics it doesn't commute.

    **Raises:** `TypeError` where `metric` isn't a metric, `ValueError` where `k` is less than 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        running = tg.metrics.Running(tg.metrics.Mean(), k=2)
        one, two, three = (running(jnp.array([value])) for value in (1.0, 2.0, 6.0))
        assert (float(one), float(one.merge(two)), float(one.merge(two).merge(three))) == (1, 1.5, 4)
        ```
    """

    # Static, as it is a shape.
    k: int = eqx.field(kw_only=True, static=True, converter=integer("k", "the number of batches", least=1))
    """How many batches."""

    exempt_from: ClassVar[Mapping[str, str]] = {
        "batching": "It is about the last batches.",
        "merging": "Which batches are the last depends on their order: it doesn't commute.",
    }

    def _wrapped_name(self) -> str:
        return f"running_{default_name('metric', self.metric)}"

    def _over(self, context: Context) -> dict[str, Accumulator]:
        return {name: Recent.of(one, self.k) for name, one in parts_of(self._term(), context).items()}
