"""Chunks of batches, as the compiled programs get them."""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._describe import is_key
from .._types import PyTree
from ._batch import Batch


def shapes_of(batch: Batch) -> Hashable:
    """Return the shapes and dtypes of one batch, hashable."""
    leaves = jax.tree.leaves(batch._replace(class_weight=None))
    return tuple((a.shape, a.dtype if is_key(a) else jax.dtypes.canonicalize_dtype(a.dtype)) for a in leaves)


Ranges = tuple[tuple[int, int], ...]
"""Where examples are among others: from each start to before each stop."""


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["examples", "class_weight"], meta_fields=["size", "where"]
)
@dataclasses.dataclass(frozen=True)
class Stacked:
    """Batches of the same size, one after the other: leaves `(steps, room, ...)`."""

    examples: Batch
    class_weight: PyTree
    size: int
    """How many examples are in each, of those that there is room for: more, where several devices have equal parts."""
    where: Ranges | None = None
    """Which of these they are; the first ones if `None`."""

    def at(self, i: ArrayLike) -> Batch:
        """Return the `i`-th batch."""

        def picked(array: Any) -> Any:
            if array.shape[1] == self.size:
                return array[i]
            ranges = ((0, self.size),) if self.where is None else self.where
            parts = [array[i][start:stop] for start, stop in ranges]
            return parts[0] if len(parts) == 1 else jnp.concatenate(parts)

        return jax.tree.map(picked, self.examples)._replace(class_weight=self.class_weight)

    @property
    def batch(self) -> Batch:
        """The shapes of one batch."""
        size = self.size
        shapes: Batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct((size, *a.shape[2:]), a.dtype), self.examples)
        return shapes._replace(class_weight=self.class_weight)

    @property
    def shapes(self) -> Hashable:
        """The shapes and dtypes of one batch, hashable."""
        return tuple(((self.size, *a.shape[2:]), a.dtype) for a in jax.tree.leaves(self.examples))

    @property
    def steps(self) -> int:
        return jax.tree.leaves(self.examples)[0].shape[0]


class Placed(NamedTuple):
    """All examples, where the device has them, and the positions `(steps, batch)` of those in each batch."""

    examples: Batch
    positions: Array
    class_weight: PyTree

    def at(self, i: ArrayLike) -> Batch:
        """Return the `i`-th batch."""
        where = self.positions[i]

        def picked(array: Any) -> Any:
            # Indices are in bounds by construction.
            return array.at[where].get(mode="promise_in_bounds", wrap_negative_indices=False)

        return jax.tree.map(picked, self.examples)._replace(class_weight=self.class_weight)

    @property
    def batch(self) -> Batch:
        """The shapes of one batch."""
        size = self.positions.shape[1]
        shapes: Batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype), self.examples)
        return shapes._replace(class_weight=self.class_weight)

    @property
    def shapes(self) -> Hashable:
        """The shapes and dtypes of one batch, hashable."""
        size = self.positions.shape[1]
        return tuple(((size, *a.shape[1:]), a.dtype) for a in jax.tree.leaves(self.examples))

    @property
    def steps(self) -> int:
        return self.positions.shape[0]


Batches = Stacked | Placed


class Chunk(NamedTuple):
    """What one compiled call works on."""

    data: Batches
    n: int
    """How many of its batches are filled."""
    size: int
    """How many examples are in each."""
    done: Callable[[Any], None]
    """To be called with an array that is ready once the data has been used."""
