"""`local_part`: of data that every process can open, the part of one."""

import importlib
from collections.abc import Sequence
from typing import Any, TypeVar, overload

import jax

from .._describe import describe, is_arraylike, is_iterator
from .._errors import DataError
from .._types import PyTree

T = TypeVar("T")


def local_part(dataset: T) -> T:
    """Return the examples that this process is to read, where each process reads its own: every n-th of n processes.

    Their numbers differ by one at most. In one process these are all of them.

    **Arguments:**

    - `dataset`: an array, or a PyTree of arrays with an axis of examples each; a list of other things, such as names of
        files; a data set of PyTorch's or Grain's or Hugging Face's; or anything with a length and items by position.

    **Returns:**

    The same kind of thing: a slice, PyTorch's `Subset`, a data set of Grain's or Hugging Face's.

    **Raises:** [`treegy.DataError`][] for what has no items by position, such as a loader: its data set is what is
    split, before batches are made of it.

    !!! example

        ```python
        import numpy as np
        import treegy as tg

        files = tg.parallel.local_part([f"part-{i}.npy" for i in range(8)])
        x = tg.parallel.local_part(np.zeros((100, 8)))
        ```
    """
    return part_of(dataset, jax.process_index(), jax.process_count())


def part_of(dataset: Any, index: int, count: int) -> Any:
    """Return the `index`-th of `count` parts of a data set."""
    libraries = {cls.__module__.partition(".")[0] for cls in type(dataset).__mro__}
    if "datasets" in libraries and hasattr(dataset, "shard"):
        return _of_hugging_face(dataset, index, count)
    if "torch" in libraries and not is_arraylike(dataset):
        return _of_torch(dataset, index, count)
    if "grain" in libraries:
        return _of_grain(dataset, index, count)
    if _is_arrays(dataset):
        return jax.tree.map(lambda array: array[index::count], dataset)
    if isinstance(dataset, list | tuple | range):
        return dataset[index::count]
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__") and not isinstance(dataset, dict | str | bytes):
        return _Part(dataset, index, count)
    raise _refused(dataset, "it has no items by position. Split what it is made of")


class _Part(Sequence[Any]):
    """Every n-th item of something."""

    def __init__(self, items: Any, index: int, count: int):
        self._items = items
        self._places = range(index, len(items), count)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._items[place] for place in self._places[index]]
        return self._items[self._places[index]]


def _is_arrays(value: PyTree) -> bool:
    leaves = jax.tree.leaves(value, is_leaf=is_iterator)
    return bool(leaves) and all(is_arraylike(leaf) and len(leaf.shape) > 0 for leaf in leaves)


def _of_hugging_face(dataset: Any, index: int, count: int) -> Any:
    if hasattr(dataset, "__len__"):
        return dataset.shard(num_shards=count, index=index, contiguous=False)
    return importlib.import_module("datasets.distributed").split_dataset_by_node(dataset, rank=index, world_size=count)


def _of_torch(dataset: Any, index: int, count: int) -> Any:
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise _refused(
            dataset,
            "it gives its items one by one, or in batches. Split the data set that it is made of, with a length",
        )
    return importlib.import_module("torch.utils.data").Subset(dataset, range(index, len(dataset), count))


def _of_grain(dataset: Any, index: int, count: int) -> Any:
    if not hasattr(dataset, "__getitem__"):
        raise _refused(
            dataset,
            "it gives its items one by one. Split its `MapDataset`, or give its sampler "
            "`shard_options=grain.sharding.ShardByJaxProcess()`",
        )
    return dataset[index::count]


def _refused(dataset: object, why: str) -> DataError:
    return DataError(f"`dataset` is {describe(dataset)}, which can't be split over processes: {why}.")
