"""Where the arrays of a model are: which part of each every device has, if the model has a strategy.

The arrays of the module are where the strategy says, by their paths. Whatever else ends in such a path and has that
shape is there as well: the moments of an optimizer, and averages. All other arrays are on every device.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.core
from jax.sharding import NamedSharding, PartitionSpec
from jax.tree_util import DictKey, GetAttrKey

from .._data._batch import Batch
from .._describe import is_arraylike, is_key, path_name
from .._placement import default_device
from .._sharding._alike import check_alike, whole_mark
from .._sharding._placing import everywhere, local, placed, sharded, split_examples, whole
from .._sharding._processes import is_shared
from .._sharding._strategy import Shape, Strategy
from .._spread import is_spread
from .._types import AnyArray, KeyPath, PyTree
from ._assembly import rebuilt
from ._hashable import Shapes, Static, hashable_combine, hashable_partition
from ._model_like import M, ModelLike

# Where a model has its parameters; the second, if it has no module.
_MODULE: KeyPath = (GetAttrKey("module"),)
_CARRIED: KeyPath = (GetAttrKey("_carried"), GetAttrKey("_fields"), DictKey("net_params"))


@dataclasses.dataclass(frozen=True)
class Homes:
    """Where arrays are by their paths. Hashable."""

    strategy: Strategy
    parameters: tuple[tuple[KeyPath, Shape, PartitionSpec], ...]
    """The paths in the module, the shapes and the specs of those parameters that are split."""

    def shardings(self, tree: PyTree) -> PyTree:
        """Return the shardings of the arrays in a PyTree of arrays or of their shapes."""
        return jax.tree_util.tree_map_with_path(self._of, tree)

    def constrained(self, tree: PyTree) -> PyTree:
        """Return a PyTree, within a trace, whose arrays the compiler is to have there."""

        def constrain(path: KeyPath, leaf: PyTree) -> PyTree:
            sharding = self._of(path, leaf)
            return leaf if sharding is None else placed(leaf, sharding)

        return jax.tree_util.tree_map_with_path(constrain, tree)

    @functools.cached_property
    def _by_path(self) -> dict[KeyPath, tuple[Shape, PartitionSpec]]:
        return {path: (shape, spec) for path, shape, spec in self.parameters}

    def _of(self, path: KeyPath, leaf: PyTree) -> NamedSharding | None:
        if not is_arraylike(leaf):
            return None
        for start in range(len(path)):
            shape, spec = self._by_path.get(path[start:], (None, None))
            if shape == leaf.shape and spec is not None:
                return sharded(self.strategy, spec)
        return whole(self.strategy)


def homes_of(model: ModelLike) -> Homes | None:
    """Return where the arrays of a model are, if it has a strategy.

    **Raises:** what the strategy's `specs` raises.
    """
    if model.strategy is None:
        return None
    arrays, frozen = hashable_partition(model)
    return known_homes(frozen, Shapes(arrays))[0]


def at_home(model: M, before: ModelLike | None = None) -> M:
    """Return the model with its arrays where its strategy wants them, also those that are traced.

    **Arguments:**

    - `before`: a model of which the arrays that it still has are there already.
    """
    if model.strategy is None:
        return model
    arrays, frozen = hashable_partition(model)
    there = {id(leaf) for leaf in jax.tree.leaves(before)}
    shardings = known_homes(frozen, Shapes(arrays))[1]
    check_arrays_alike(model)
    moved = [a if id(a) in there else placed(a, s) for a, s in zip(arrays, shardings, strict=True)]
    return hashable_combine(moved, frozen)


def distributed(model: M, strategy: Strategy | None) -> M:
    """Return a model that has a strategy, or none."""
    before = model.strategy
    model = rebuilt(model, {"strategy": strategy})
    if strategy is not None:
        return at_home(model)
    arrays, frozen = hashable_partition(model)
    return hashable_combine([jax.device_put(local(a, before), default_device()) for a in arrays], frozen)


def check_arrays_alike(model: ModelLike) -> None:
    """Compare the arrays that this process has as a whole with those of the other processes, before it gives its part.

    **Raises:** [`treegy.ProcessError`][] if they differ.
    """
    if not is_shared(model.strategy):
        return
    leaves = jax.tree_util.tree_leaves_with_path(model)
    if any(isinstance(leaf, jax.core.Tracer) for _, leaf in leaves):
        return
    whole = {
        f"`{path_name(path)}`": whole_mark(leaf)
        for path, leaf in leaves
        if isinstance(leaf, AnyArray) and not is_spread(leaf)
    }
    if whole:
        mend = "Build the model from the same keys and files in all processes."
        check_alike(model.strategy, "the model", whole, mend)


def split(model: ModelLike, batch: Any) -> Any:
    """Return a batch whose examples are split over the devices of a model that has a strategy, also if it is traced.

    What isn't one batch, but all examples of a run, every device has.
    """
    strategy = model.strategy
    if strategy is None:
        return batch
    if not isinstance(batch, Batch):
        return everywhere(batch, strategy)
    examples = split_examples(batch._replace(class_weight=None), strategy)
    return examples._replace(class_weight=everywhere(batch.class_weight, strategy))


@functools.lru_cache(maxsize=64)
def known_homes(frozen: Static, shapes: Shapes) -> tuple[Homes, list[NamedSharding]]:
    """Return where the arrays of models of one structure are, and that of each."""
    model = hashable_combine(shapes.structs, frozen)
    homes = of_structure(model)
    return homes, jax.tree.leaves(homes.shardings(model), is_leaf=lambda leaf: isinstance(leaf, NamedSharding))


def of_structure(model: ModelLike) -> Homes:
    """Return where the arrays are of a model whose arrays may be shapes."""
    strategy = model.strategy
    assert strategy is not None
    prefix = _CARRIED if model.module is None else _MODULE
    shapes: dict[str, Shape] = {}
    paths: dict[str, KeyPath] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        if path[: len(prefix)] == prefix and is_arraylike(leaf) and leaf.shape and not is_key(leaf):
            inner = path[len(prefix) :]
            name = path_name(inner)
            shapes[name], paths[name] = leaf.shape, inner
    specs = strategy.specs(shapes)
    parts = ((paths[name], shapes[name], spec) for name, spec in specs.items() if any(n is not None for n in spec))
    return Homes(strategy, tuple(parts))
