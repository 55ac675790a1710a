"""`Strategy`: what all strategies have in common."""

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jax.sharding import Mesh, PartitionSpec

from ._mesh import Axes

Shape = tuple[int, ...]

if TYPE_CHECKING:
    AnyStrategy: TypeAlias = "Strategy | None"
    """What `Model.distributed` takes."""
else:
    AnyStrategy = Any  # treegy says itself what it isn't


class Strategy(abc.ABC):
    """Where the arrays of a model and the examples of a batch are. Hashable: a program is compiled for one."""

    mesh: Mesh
    """The devices. All axes are of the kind Auto."""
    batch: Axes
    """The axes of the mesh over which the examples of a batch are split."""

    @abc.abstractmethod
    def specs(self, shapes: Mapping[str, Shape]) -> dict[str, PartitionSpec]:
        """Return how the arrays of a module are split, by their paths, such as `.layers[0].weight`.

        Those that are left out every device has.

        **Raises:** `ValueError` if some can't be.
        """
