"""The processes that the devices of a strategy belong to.

Whether something is done once for all of them is asked here, and nowhere else. A model on devices of this process alone
has nothing to do with the others, however many there are.
"""

import functools

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._strategy import Strategy


def processes_of(strategy: Strategy | None) -> tuple[int, ...]:
    """Return the numbers of the processes, in their order."""
    return (jax.process_index(),) if strategy is None else _processes(strategy.mesh)


def is_shared(strategy: Strategy | None) -> bool:
    """Whether several processes train a model together."""
    return strategy is not None and len(_processes(strategy.mesh)) > 1


def is_first(strategy: Strategy | None) -> bool:
    """Whether this is the process that prints, logs and writes for all of them."""
    return not is_shared(strategy) or processes_of(strategy)[0] == jax.process_index()


@functools.lru_cache(maxsize=64)
def _processes(mesh: Mesh) -> tuple[int, ...]:
    return tuple(sorted({device.process_index for device in mesh.devices.flat}))


def own_rows(strategy: Strategy | None, room: int) -> np.ndarray | None:
    """Return which examples of a batch this process has devices for; `None` if it has them for all.

    **Arguments:**

    - `room`: how many examples there are, in equal parts for the devices.
    """
    if strategy is None or not is_shared(strategy):
        return None
    return rows_of_processes(strategy, room)[processes_of(strategy).index(jax.process_index())]


@functools.lru_cache(maxsize=256)
def rows_of_processes(strategy: Strategy, room: int) -> list[np.ndarray]:
    """Return for each process which examples of a batch it has devices for, in their order."""
    sharding = NamedSharding(strategy.mesh, PartitionSpec(strategy.batch))
    found: dict[int, set[int]] = {process: set() for process in processes_of(strategy)}
    for device, (rows,) in sharding.devices_indices_map((room,)).items():
        found[device.process_index].update(range(*rows.indices(room)))
    return [np.array(sorted(rows)) for rows in found.values()]
