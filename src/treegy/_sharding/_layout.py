"""`Layout`: any layout, by a rule of the user's."""

import dataclasses
from collections.abc import Mapping

from jax.sharding import Mesh, PartitionSpec

from .._types import MeshLike, ShardingRule
from ._mesh import Axes, mesh_of
from ._rules import hashable_rule, ruled
from ._strategy import Shape, Strategy


@dataclasses.dataclass(frozen=True, init=False)
class Layout(Strategy):
    """The layout that a rule says, such as tensor parallelism, or replicas of what is split across hosts.

    !!! example

        A network of two layers, of which the first is split by its outputs and the second by its inputs:

        ```python
        import equinox as eqx
        import jax
        import treegy as tg
        from jax.sharding import PartitionSpec as P

        mesh = jax.make_mesh((1, jax.device_count()), ("data", "model"))
        rule = {
            ".layers[0].weight": P("model", None),
            ".layers[0].bias": P("model"),
            ".layers[1].weight": P(None, "model"),
        }
        model = tg.Model(eqx.nn.MLP(8, 1, 64, 1, key=jax.random.key(0)))
        model = model.distributed(tg.parallel.Layout(mesh, batch="data", rule=rule))
        ```

    **Raises:** `ValueError` if the mesh lacks an axis. Where a model is distributed: if the rule has a path that no
    array has, or a spec that doesn't divide its array.
    """

    mesh: Mesh
    batch: Axes
    rule: ShardingRule

    def __init__(self, mesh: MeshLike, batch: Axes = "data", rule: ShardingRule = None):
        """**Arguments:**

        - `mesh`: a mesh, as `jax.make_mesh` makes it.
        - `batch`: the axis of the mesh, or several, over which batches are split.
        - `rule`: how the arrays of the module are split: a function of the path and the shape, such as
            `.layers[0].weight` and `(64, 8)`, that returns a `jax.sharding.PartitionSpec`, or `None` for those that
            every device has. Or a dict from paths, in which `*` stands for anything. States of the optimizer and
            averages are split as their parameters are.
        """
        object.__setattr__(self, "mesh", mesh_of(mesh, batch))
        object.__setattr__(self, "batch", batch)
        object.__setattr__(self, "rule", hashable_rule(rule))

    def specs(self, shapes: Mapping[str, Shape]) -> dict[str, PartitionSpec]:
        return ruled(self.rule, self.mesh, shapes)
