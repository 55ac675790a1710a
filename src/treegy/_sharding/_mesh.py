"""The mesh of a strategy."""

import math

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from .._describe import describe, listed
from .._types import MeshLike
from ._cluster import tell_of_cluster

Axes = str | tuple[str, ...]
"""The name of an axis of a mesh, or several, over which something is split."""


def mesh_of(mesh: MeshLike, *axes: Axes) -> Mesh:
    """Return a mesh whose axes JAX's partitioner may use as it likes: the same devices, under the same names.

    **Arguments:**

    - `mesh`: one with axes of any kind; all devices along one axis if `None`.
    - `axes`: the axes that it is to have.

    **Raises:** `TypeError` if it is no mesh; `ValueError` if it lacks an axis.
    """
    names = tuple(name for each in axes for name in names_of(each))
    tell_of_cluster()
    if mesh is None:
        if len(names) != 1:
            raise ValueError(
                f"without a `mesh` there is one axis for all devices, and {listed(map(repr, names))} are asked for."
            )
        return Mesh(np.asarray(jax.devices()), names, axis_types=(AxisType.Auto,))
    if not isinstance(mesh, Mesh):
        raise TypeError(f"`mesh` is {describe(mesh)}; a `jax.sharding.Mesh` is expected, as `jax.make_mesh` makes it.")
    for name in names:
        check_axis(mesh, name)
    # Explicit axes, which `jax.make_mesh` makes by default, have JAX insist on being told the layout of every result.
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def check_axis(mesh: Mesh, name: object) -> None:
    """**Raises:** `ValueError` if the mesh has no axis of this name."""
    if name not in mesh.axis_names:
        there = listed(f"{n!r} ({size})" for n, size in mesh.shape.items())
        raise ValueError(f"the mesh has no axis {name!r}; there are {there}.")


def names_of(axes: Axes) -> tuple[str, ...]:
    return (axes,) if isinstance(axes, str) else tuple(axes)


def parts(mesh: Mesh, axes: Axes) -> int:
    """Return into how many parts these axes split something."""
    return math.prod(mesh.shape[name] for name in names_of(axes))
