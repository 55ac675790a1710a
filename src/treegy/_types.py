"""Names of types that Python and JAX have no name for, and of what public methods take.

To type checkers, arguments are what their types say. At run time treegy checks what comes in, in words of its own,
and not by whoever evaluates annotations (beartype, jaxtyping's import hook): to these, such arguments may be anything.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.typing
import numpy as np

# `jaxtyping.PyTree` says the same to readers, and is an unknown type to pyright's strict mode.
PyTree: TypeAlias = Any
"""Any nest of containers and registered nodes, with arrays and other leaves in it."""
Function: TypeAlias = Callable[..., Any]
"""A function that is called with the values that its signature names."""
Values: TypeAlias = Mapping[str, Any]
"""Values by the names under which functions ask for them, and metric values by those that they have in the logs."""
KeyPath: TypeAlias = tuple[Any, ...]
"""Where a leaf is in a PyTree, as `jax.tree_util` tells it."""
Hint: TypeAlias = Any
"""An annotation, evaluated."""
AnyArray: TypeAlias = jax.Array | np.ndarray | np.generic
"""An array of JAX's, traced or not, or of NumPy's, or one of NumPy's numbers."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal, Protocol

    from jax import Array
    from jax.sharding import Mesh, PartitionSpec

    Verbose: TypeAlias = Literal["auto", 0, 1, 2] | bool
    """How much `fit`, `evaluate` and `predict` show."""
    ValidationData: TypeAlias = tuple[PyTree, ...] | Iterable[PyTree] | None
    """What is validated on: `(x, y)`, `(x, y, sample_weight)`, `(x,)`, or something that gives such batches."""
    ClassTable: TypeAlias = Mapping[int, float] | Sequence[float] | np.ndarray | Array
    """The weight of each class."""
    ClassWeight: TypeAlias = ClassTable | Mapping[str, ClassTable] | Sequence[ClassTable] | None
    """The weight of each class; of several outputs a dict or list of these."""
    Seed: TypeAlias = int | np.integer | np.ndarray | Array
    """An integer or a PRNG key."""
    Ensemble: TypeAlias = Literal["all", "mean", "mean_and_std"]
    """What is wanted of the predictions of several models."""
    Mode: TypeAlias = Literal["auto", "min", "max"]
    """Whether a metric value is better the smaller or the larger it is; `"auto"` reads that from its name."""
    SaveFreq: TypeAlias = Literal["epoch"] | int
    """After each epoch, or after every so many steps."""
    UpdateFreq: TypeAlias = Literal["epoch", "batch"] | int
    """After each epoch, each batch, or every so many steps."""

    Length: TypeAlias = int
    """How long an axis is: a number, or a symbol where a program for any length is being traced."""
    AxisNames: TypeAlias = Iterable[str]
    """Axes by the names that annotations give them."""
    Platforms: TypeAlias = Iterable[Literal["cpu", "cuda", "rocm", "tpu"]]
    """On which kinds of devices a program runs."""
    DTypeLike: TypeAlias = jax.typing.DTypeLike
    """A dtype, by whatever name NumPy and JAX know it."""
    LossScale: TypeAlias = float | Literal["dynamic"] | None
    """What a loss is multiplied with before it is differentiated."""
    MeshLike: TypeAlias = Mesh | None
    """A mesh of devices; `None` for one axis over all of them."""
    ShardingRule: TypeAlias = (
        Callable[[str, tuple[int, ...]], PartitionSpec | None] | Mapping[str, PartitionSpec] | None
    )
    """A function of the path and the shape of an array, or a dict from paths, in which `*` stands for anything."""

    class OptimizerLike(Protocol):
        """What optimizes: a transformation of Optax's, a [`treegy.Optimizer`][], or what has the same two functions."""

        @property
        def init(self) -> Callable[..., PyTree]: ...
        @property
        def update(self) -> Callable[..., tuple[PyTree, PyTree]]: ...

else:
    OptimizerLike = Any
    Verbose = ValidationData = ClassTable = ClassWeight = Seed = Any
    Mode = SaveFreq = UpdateFreq = Ensemble = Any
    MeshLike = ShardingRule = DTypeLike = LossScale = Any
    Length = AxisNames = Platforms = Any
