"""Embeddings that are kept as they are, for metric values of all pairs of examples."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Accumulator
from ..._terms._weights import lined_up
from .._accumulators._buffers import appended, check_room, filled


class KeptExamples(NamedTuple):
    """What there is of some examples."""

    arrays: tuple[Array, ...]
    """Each `(capacity, ...)`."""
    weight: Array
    """`(capacity,)`, 0 where there is no example."""
    full: Array
    """Whether there were more than there is room for."""

    def unless_full(self, value: Array) -> Array:
        """Return a metric value, NaN if there were too many examples."""
        return jnp.where(self.full, jnp.full_like(value, jnp.nan), value)


class Examples(Accumulator):
    """Arrays and weights of up to `capacity` examples, in the order in which they came."""

    arrays: tuple[Array, ...]
    """Each `(capacity, ...)`."""
    weight: Array
    count: Array
    """How many there are. One more than the capacity stands for any number that is too many."""

    def empty(self) -> "Examples":
        return jax.tree.map(jnp.zeros_like, self)

    def merge(self, other: "Examples") -> "Examples":
        *arrays, weight = appended((*self.arrays, self.weight), self.count, (*other.arrays, other.weight))
        return Examples(tuple(arrays), weight, jnp.minimum(self.count + other.count, len(self.weight) + 1))

    def compute(self) -> KeptExamples:
        return KeptExamples(self.arrays, self.weight, self.count > len(self.weight))


def kept_examples(arrays: tuple[Array, ...], sample_weight: Array | None, capacity: int) -> Examples:
    """Return the examples of a batch.

    **Arguments:**

    - `arrays`: each `(batch, ...)`; 0 is kept in place of what has no weight.
    - `sample_weight`: `(batch,)`.

    **Raises:** [`treegy.ContractError`][] where there are more than there is room for, and no weights.
    """
    size = len(arrays[0])
    check_room(size, capacity, sample_weight)
    weight = jnp.ones(size, jnp.float32)
    if sample_weight is not None:
        weight = weight * lined_up(sample_weight.astype(jnp.float32), weight, "sample_weight")
    counted = weight != 0

    def cleared(values: Array) -> Array:
        return jnp.where(counted.reshape((-1,) + (1,) * (values.ndim - 1)), values, jnp.zeros_like(values))

    *found, weight = filled((*(cleared(values) for values in arrays), weight), counted, capacity)
    return Examples(tuple(found), weight, jnp.minimum(jnp.sum(counted, dtype=jnp.int32), capacity + 1))


def check_vectors(**arrays: Array) -> None:
    """Refuse what isn't vectors `(batch, d)`, by name."""
    for name, array in arrays.items():
        if array.ndim != 2:
            raise ContractError(f"`{name}` is {array_name(array)}, and vectors are expected: shapes like (batch, d).")
