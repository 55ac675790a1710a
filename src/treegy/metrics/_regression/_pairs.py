"""Labels and predictions that are kept as they are, for metric values that no sums tell: those of ranks and medians."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Accumulator
from ..._terms._elementwise import matched
from ..._terms._weights import lined_up
from .._accumulators._buffers import appended, check_room, filled
from .._accumulators._shared import Derived, Source, source


class Kept(NamedTuple):
    """What there is of labels and predictions."""

    y_true: Array
    """`(capacity, ...)`"""
    y_pred: Array
    weight: Array
    """0 where there is no example."""
    full: Array
    """Whether there were more than there is room for."""

    def value(self, of: Callable[[Array, Array, Array], Array]) -> Array:
        """Return what a function makes of labels, predictions and weights `(capacity,)`, for each element of the other
        axes; NaN where an example that counts is NaN, or there were too many."""

        def one(y_true: Array, y_pred: Array, weight: Array) -> Array:
            unordered = jnp.any((jnp.isnan(y_true) | jnp.isnan(y_pred)) & (weight != 0))
            value = of(y_true, y_pred, weight)
            return jnp.where(unordered | self.full, jnp.full_like(value, jnp.nan), value)

        shape = self.weight.shape
        flat = (a.reshape(shape[0], -1) for a in (self.y_true, self.y_pred, self.weight))
        return jax.vmap(one, in_axes=1)(*flat).reshape(shape[1:])


class Pairs(Accumulator):
    """Labels, predictions and weights of up to `capacity` examples, as they are: ranks are known at the end only.

    Those that are there stand at the front of the buffers `(capacity, ...)`, in the order in which they came.
    """

    y_true: Array
    y_pred: Array
    weight: Array
    count: Array
    """How many there are. One more than the capacity stands for any number that is too many."""

    def empty(self) -> "Pairs":
        return jax.tree.map(jnp.zeros_like, self)

    def merge(self, other: "Pairs") -> "Pairs":
        mine, theirs = (self.y_true, self.y_pred, self.weight), (other.y_true, other.y_pred, other.weight)
        count = jnp.minimum(self.count + other.count, len(self.weight) + 1)
        y_true, y_pred, weight = appended(mine, self.count, theirs)
        return Pairs(y_true, y_pred, weight, count)

    def compute(self) -> Kept:
        return Kept(self.y_true, self.y_pred, self.weight, self.count > len(self.weight))


def kept(y_true: Array, y_pred: Array, sample_weight: Array | None, *, capacity: int) -> Pairs:
    """Return the labels and predictions of a batch.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, and where there are more examples than there is room
    for and no weights that could take any out.
    """
    y_true, y_pred = matched(y_true, y_pred)
    if y_pred.ndim == 0:
        raise ContractError(f"`y_pred` {array_name(y_pred)} has no axis of examples.")
    check_room(len(y_pred), capacity, sample_weight)
    weight = jnp.ones_like(y_pred)
    if sample_weight is not None:
        weight = weight * lined_up(sample_weight.astype(weight.dtype), weight, "sample_weight")
    counted = jnp.any((weight != 0).reshape(len(weight), -1), axis=1)
    y_true, y_pred = (jnp.where(weight != 0, values, jnp.zeros_like(values)) for values in (y_true, y_pred))
    count = jnp.minimum(jnp.sum(counted, dtype=jnp.int32), capacity + 1)
    y_true, y_pred, weight = filled((y_true, y_pred, weight), counted, capacity)
    return Pairs(y_true, y_pred, weight, count.astype(y_pred.dtype))


class OfPairs(Derived):
    """A metric value of labels and predictions that are kept. Within a model they are kept once for each capacity."""

    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of examples to make room for", least=1),
    )
    """How many examples there is room for."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return source(kept, capacity=self.capacity)
