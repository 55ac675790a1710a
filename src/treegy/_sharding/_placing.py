"""Putting arrays where a strategy wants them. Without a strategy there is one device, and nothing to split."""

from typing import Any

import jax
import jax.core
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from .._describe import is_key
from .._spread import is_spread, moved, of_parts, spread
from .._types import PyTree
from ._mesh import parts
from ._processes import is_shared, own_rows
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
    if sharding.is_fully_addressable and not is_spread(array):
        return jax.device_put(array, sharding)
    return spread(array, sharding)


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


def split_batches(stacked: PyTree, strategy: Strategy | None, room: int) -> Any:
    """Return batches, one after the other, whose examples are split over the devices; else on the device.

    **Arguments:**

    - `stacked`: `(steps, examples, ...)`, those examples that this process has devices for.
    - `room`: how many examples a batch has in all processes.
    """
    if strategy is None:
        return jax.device_put(stacked)
    sharding, rows = _along(1, strategy), own_rows(strategy, room)
    return jax.device_put(stacked, sharding) if rows is None else _of_rows(stacked, rows, room, sharding)


def _of_rows(stacked: PyTree, rows: np.ndarray, room: int, sharding: NamedSharding) -> jax.Array:
    if is_key(stacked):
        words = _of_rows(jax.random.key_data(stacked), rows, room, sharding)
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(stacked))
    host = np.asarray(stacked)

    def part(index: tuple[slice, ...]) -> np.ndarray:
        start, stop, _ = index[1].indices(room)
        first = int(np.searchsorted(rows, start))
        return host[:, first : first + stop - start]

    return of_parts((host.shape[0], room, *host.shape[2:]), sharding, part)


def local(array: PyTree, strategy: Strategy | None) -> PyTree:
    """Return an array as one that this process can read as a whole; all processes call this."""
    if not is_spread(array):
        return array
    if is_key(array):
        words = local(jax.random.key_data(array), strategy)
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(array))
    assert strategy is not None
    return (array if array.is_fully_replicated else moved(whole(strategy))(array)).addressable_data(0)


def readable(tree: PyTree, strategy: Strategy | None) -> PyTree:
    """Return results such that every process can read the whole of them; in one process, as they are."""
    return everywhere(tree, strategy) if is_shared(strategy) else tree


def room_for(size: int, strategy: Strategy | None) -> int:
    """Return how many examples there is to be room for in a batch, so that every device has an equal part of it."""
    if strategy is None:
        return size
    n = parts(strategy.mesh, strategy.batch)
    return -(-size // n) * n


def _along(axis: int, strategy: Strategy) -> NamedSharding:
    """Return the sharding of arrays with one example after the other along an axis."""
    return sharded(strategy, PartitionSpec(*[None] * axis, strategy.batch))
