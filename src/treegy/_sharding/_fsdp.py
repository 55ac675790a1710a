"""`FSDP`: every device has a part of every batch, and of every large parameter."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

from jax.sharding import Mesh, PartitionSpec

from .._checks import positive
from .._types import MeshLike, ShardingRule
from ._mesh import Axes, mesh_of, parts
from ._rules import hashable_rule, ruled
from ._strategy import Shape, Strategy


@dataclasses.dataclass(frozen=True, init=False)
class FSDP(Strategy):
    """Every device has a part of every batch, of every large parameter, and of the optimizer's states for it.

    "Fully sharded data parallel": parameters are put together where they are used, and let go of again. For models that
    don't fit on one device with the states of their optimizer. Each array is split along its longest axis that the
    number of devices divides; layers that are stacked for a `jax.lax.scan` aren't split along the layers, of which all
    devices need the same one at a time.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import treegy as tg

        model = tg.Model(eqx.nn.MLP(256, 10, 256, 2, key=jax.random.key(0)))
        model = model.distributed(tg.parallel.FSDP())
        ```

    **Raises:** `ValueError` if the mesh lacks the axis.
    """

    mesh: Mesh
    batch: Axes
    min_size: int
    rule: ShardingRule

    def __init__(self, mesh: MeshLike = None, axis: Axes = "data", *, min_size: int = 2**14, rule: ShardingRule = None):
        """**Arguments:**

        - `mesh`: a mesh; one axis over all devices if it isn't given.
        - `axis`: the axis of the mesh, or several, over which batches and parameters are split.
        - `min_size`: arrays of fewer numbers are on every device: moving them costs more than they take.
        - `rule`: for exceptions, as that of [`treegy.parallel.Layout`][]. Where a function returns `None`, or a dict
            has nothing, arrays are split as described.
        """
        object.__setattr__(self, "mesh", mesh_of(mesh, axis))
        object.__setattr__(self, "batch", axis)
        object.__setattr__(self, "min_size", positive("min_size", min_size, zero=True))
        object.__setattr__(self, "rule", hashable_rule(rule))

    def specs(self, shapes: Mapping[str, Shape]) -> dict[str, PartitionSpec]:
        n, stacked = parts(self.mesh, self.batch), _stacked(shapes)
        found: dict[str, PartitionSpec] = {}
        for path, shape in shapes.items():
            axes = [i for i, length in enumerate(shape) if length % n == 0 and not (i == 0 and path in stacked)]
            if axes and math.prod(shape) >= self.min_size:
                longest = max(axes, key=lambda i, shape=shape: shape[i])
                found[path] = PartitionSpec(*[None] * longest, self.batch)
        return {**found, **ruled(self.rule, self.mesh, shapes)}


def _stacked(shapes: Mapping[str, Shape]) -> set[str]:
    """Return the paths of arrays whose first axis counts layers.

    All arrays below some node have the same first axis then, and more than that: so also biases, which have one axis in
    a layer of its own, or all others of length 1.
    """
    below: dict[str, list[str]] = {}
    for path in shapes:
        for node in _nodes_above(path):
            below.setdefault(node, []).append(path)
    return {path for paths in below.values() if _are_stacked(shapes[p] for p in paths) for path in paths}


def _nodes_above(path: str) -> Iterable[str]:
    """Yield the paths of the nodes in which an array is: `""`, `.layers` and `.layers[0]` for `.layers[0].weight`."""
    return (path[: found.start()] for found in re.finditer(r"\.|\[", path))


def _are_stacked(shapes: Iterable[Shape]) -> bool:
    found = list(shapes)
    return len(found) > 1 and all(s and s[0] == found[0][0] and math.prod(s[1:]) > 1 for s in found)
