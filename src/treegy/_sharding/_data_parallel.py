"""`DataParallel`: every device has the whole model, and a part of every batch."""

import dataclasses
from collections.abc import Mapping

from jax.sharding import Mesh, PartitionSpec

from .._types import MeshLike
from ._mesh import Axes, mesh_of
from ._strategy import Shape, Strategy


@dataclasses.dataclass(frozen=True, init=False)
class DataParallel(Strategy):
    """Every device has the whole model, and a part of every batch. Gradients are summed over the devices.

    For models that fit on one device.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import optax
        import treegy as tg

        model = tg.Model(
            eqx.nn.MLP(8, 1, 16, 1, key=jax.random.key(0)),
            loss=tg.losses.MeanSquaredError(),
            optimizer=optax.adam(1e-2),
        ).distributed(tg.parallel.DataParallel())
        x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
        model, history = model.fit(x, x[:, :1], epochs=2, verbose=0)
        ```

    **Raises:** `ValueError` if the mesh lacks the axis.
    """

    mesh: Mesh
    batch: Axes

    def __init__(self, mesh: MeshLike = None, axis: Axes = "data"):
        """**Arguments:**

        - `mesh`: a mesh; one axis over all devices if it isn't given.
        - `axis`: the axis of the mesh, or several, over which batches are split.
        """
        object.__setattr__(self, "mesh", mesh_of(mesh, axis))
        object.__setattr__(self, "batch", axis)

    def specs(self, shapes: Mapping[str, Shape]) -> dict[str, PartitionSpec]:
        return {}
