"""Arrays whose examples lie on a mesh with explicit axes, which the loop can't cut into batches."""

from collections.abc import Mapping

import jax
from jax.sharding import AxisType, NamedSharding

from .._describe import array_name, path_name
from .._errors import DataError
from .._types import PyTree


def refuse_explicit(named: Mapping[str, PyTree]) -> None:
    """Raise for an array of which one device has other examples than another, by an axis that JAX calls explicit.

    To index into such an array, JAX wants to be told where the result goes.

    **Raises:** [`treegy.DataError`][].
    """
    for name, value in named.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(value):
            axis = _explicit_axis(leaf)
            if axis is not None:
                raise DataError(
                    f"`{name}{path_name(path)}` is {array_name(leaf)}, whose examples are split over the axis {axis!r} "
                    "of a mesh, and that axis is explicit, as `jax.make_mesh` makes them by default: `fit`, `evaluate` "
                    "and `predict` can't cut it into batches. Make the mesh with "
                    "`axis_types=(jax.sharding.AxisType.Auto,)`, for the data and for the module, or call "
                    "`train_on_batch`, `test_on_batch` and `predict_on_batch`, which take such arrays."
                )


def _explicit_axis(leaf: PyTree) -> str | None:
    sharding = getattr(leaf, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not sharding.spec or sharding.spec[0] is None:
        return None
    names = sharding.spec[0] if isinstance(sharding.spec[0], tuple) else (sharding.spec[0],)
    kinds = dict(zip(sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True))
    return next((name for name in names if kinds.get(name) is AxisType.Explicit), None)
