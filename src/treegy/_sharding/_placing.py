"""Putting arrays where a strategy wants them. Without a strategy there is one device, and nothing to split."""

from typing import Any

import jax
import jax.core
from jax.sharding import NamedSharding, PartitionSpec

from .._types import PyTree
from ._mesh import parts
from ._strategy import Strategy


def sharded(strategy: Strategy, spec: PartitionSpec) -> NamedSharding:
    return NamedSharding(strategy.mesh, spec)


def whole(strategy: Strategy) -> NamedSharding:
    """Return the sharding of what every device has a copy of."""
    return sharded(strategy, PartitionSpec())


def placed(array: PyTree, sharding: NamedSharding) -> PyTree:
    """Return an array as it is to be split; the same one, if it is already. It may be traced."""
    if isinstance(array, jax.core.Tracer):
        return jax.lax.with_sharding_constraint(array, sharding)
    if isinstance(array, jax.Array) and array.sharding == sharding:
        return array
    return jax.device_put(array, sharding)


def everywhere(tree: PyTree, strategy: Strategy | None) -> PyTree:
    """Return a PyTree of arrays that every device has. They may be traced."""
    return tree if strategy is None else jax.tree.map(lambda leaf: placed(leaf, whole(strategy)), tree)


def split_examples(examples: PyTree, strategy: Strategy | None) -> PyTree:
    """Return the examples of a batch, split over the devices. They may be traced.

    Within a trace the parts needn't be alike. Outside of one they must be, or every device has all of them.
    """
    if strategy is None:
        return examples
    n, sharding = parts(strategy.mesh, strategy.batch), _along(0, strategy)

    def part(leaf: PyTree) -> PyTree:
        fits = isinstance(leaf, jax.core.Tracer) or leaf.shape[0] % n == 0
        return placed(leaf, sharding if fits else whole(strategy))

    return jax.tree.map(part, examples)


def split_batches(stacked: PyTree, strategy: Strategy | None) -> Any:
    """Return batches, one after the other, whose examples are split over the devices; else on the device."""
    return jax.device_put(stacked, None if strategy is None else _along(1, strategy))


def room_for(size: int, strategy: Strategy | None) -> int:
    """Return how many examples there is to be room for in a batch, so that every device has an equal part of it."""
    if strategy is None:
        return size
    n = parts(strategy.mesh, strategy.batch)
    return -(-size // n) * n


def _along(axis: int, strategy: Strategy) -> NamedSharding:
    """Return the sharding of arrays with one example after the other along an axis."""
    return sharded(strategy, PartitionSpec(*[None] * axis, strategy.batch))
