"""Arrays over the devices of several processes.

What JAX calls a global array: each process has the parts on its own devices. Of what every process has as a whole, each
puts its parts there, and nothing is sent.
"""

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from ._describe import is_key
from ._types import AnyArray, PyTree


def is_spread(array: object) -> bool:
    """Whether other processes have parts of an array that this one can't read."""
    return isinstance(array, jax.Array) and not array.is_fully_addressable


def spread(array: AnyArray, sharding: Sharding) -> jax.Array:
    """Return an array over the devices of several processes, or one that was there; all of them call this.

    **Arguments:**

    - `array`: the whole of it, the same in all processes; or one that is spread already.
    """
    if isinstance(array, jax.Array) and is_key(array):
        # Their words have an axis more, along which nothing is split.
        words = spread(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(array))
    if is_spread(array):
        assert isinstance(array, jax.Array)
        if array.sharding.device_set == sharding.device_set:
            return moved(sharding)(array)
        array = np.asarray(array) if array.is_fully_replicated else gathered(array)
    host = np.asarray(array)
    return of_parts(host.shape, sharding, lambda index: host[index])


def of_parts(shape: tuple[int, ...], sharding: Sharding, part: Any) -> jax.Array:
    """Return an array of which each process gives its parts.

    **Arguments:**

    - `part`: gives a part, NumPy's, by its index: a slice for each axis.
    """
    return jax.make_array_from_callback(shape, sharding, part)


def gathered(array: jax.Array) -> np.ndarray:
    """Return the whole of an array that is spread over processes, all of which call this."""
    sharding = array.sharding
    assert isinstance(sharding, NamedSharding)
    return np.asarray(moved(NamedSharding(sharding.mesh, PartitionSpec()))(array))


@functools.lru_cache(maxsize=256)
def moved(sharding: Sharding) -> Any:
    """Return the program that brings an array to other parts of the same devices."""
    return jax.jit(_same, out_shardings=sharding)


def _same(array: PyTree) -> PyTree:
    return array
