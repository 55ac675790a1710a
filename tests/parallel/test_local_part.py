"""The part of one process, of data sets of all kinds: together they are the whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import treegy as tg
from treegy.parallel._local_part import part_of

N = 11
NUMBERS = np.arange(N)


class Items:
    """Has items by position."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < N:
            raise IndexError(index)
        return index


def torch_items() -> Any:
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    return torch.utils.data.StackDataset(list(range(N)))


def grain_items() -> Any:
    grain = pytest.importorskip("grain", reason="Grain isn't installed")
    return grain.MapDataset.source(list(range(N)))


def hugging_face_items(streamed: bool = False) -> Any:
    datasets = pytest.importorskip("datasets", reason="Hugging Face's `datasets` isn't installed")
    found = datasets.Dataset.from_dict({"n": list(range(N))})
    return found.to_iterable_dataset(num_shards=1) if streamed else found


def value(item: Any) -> int:
    item = item["n"] if isinstance(item, dict) else item
    return int(item[0] if isinstance(item, tuple) else item)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NUMBERS,
        lambda: list(range(N)),
        lambda: tuple(range(N)),
        Items,
        torch_items,
        grain_items,
        hugging_face_items,
        lambda: hugging_face_items(streamed=True),
    ],
    ids=["array", "list", "tuple", "items", "torch", "grain", "hugging face", "hugging face, streamed"],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_are_the_whole_together(make: Callable[[], Any], count: int):
    parts = [[value(item) for item in part_of(make(), i, count)] for i in range(count)]
    assert sorted(item for part in parts for item in part) == list(range(N))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for i, part in enumerate(parts):
        assert part == list(range(i, N, count))


def test_arrays_in_a_structure_stay_together():
    found = part_of({"x": NUMBERS, "y": (2 * NUMBERS,)}, 1, 3)
    np.testing.assert_array_equal(found["x"], [1, 4, 7, 10])
    np.testing.assert_array_equal(found["y"][0], [2, 8, 14, 20])


def test_items_of_a_part_can_be_sliced():
    found = part_of(Items(), 1, 2)
    assert len(found) == 5 and list(found[1:3]) == [3, 5] and found[-1] == 9
    with pytest.raises(IndexError):
        found[5]


def test_in_one_process_it_is_all():
    np.testing.assert_array_equal(tg.parallel.local_part(NUMBERS), NUMBERS)


def test_what_has_no_items_by_position():
    with pytest.raises(
        tg.DataError, match="`dataset` is an instance of generator, which can't be split over processes"
    ):
        tg.parallel.local_part(iter(i for i in range(3)))
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    with pytest.raises(tg.DataError, match="Split the data set that it is made of, with a length"):
        tg.parallel.local_part(torch.utils.data.DataLoader(torch_items()))
    grain = pytest.importorskip("grain", reason="Grain isn't installed")
    with pytest.raises(tg.DataError, match="give its sampler `shard_options"):
        tg.parallel.local_part(grain.MapDataset.source([1]).to_iter_dataset())
