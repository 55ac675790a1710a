"""Batches of which each process gives a part.

What gives batches gives its own in each process, and a batch of the model is all of theirs, one behind the other. How
many they have and of which sizes, the processes tell each other for each chunk: one that has no more gives parts
without examples, so that nobody waits for it and nothing is left out.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import dtype_name, is_key
from .._errors import DataError, ProcessError
from .._sharding._exchange import each_does, exchanged, known, raise_failures
from .._sharding._mesh import parts
from .._sharding._placing import everywhere, local, split_batches
from .._sharding._processes import own_rows, processes_of, rows_of_processes
from .._sharding._strategy import Strategy
from .._warn import warn
from ._as_arrays import named_leaves
from ._batch import Batch
from ._chunk import Chunk, Ranges, Stacked
from ._in_32_bits import check_fits_32_bits
from ._iterable_feed import PATIENCE, Given, signature_of
from ._pass import Pass
from ._source import Feed

_ABOUT = "the next batches"


class PartsFeed(Feed):
    """The batches of an iterable in each process, a pass at a time."""

    def __init__(self, source: Given, steps: int, strategy: Strategy):
        self._source = source
        self._strategy = strategy
        self.steps = steps
        self._like: Batch = each_does(strategy, _ABOUT, source.peek)
        self._usual: list[int] | None = None
        self._class_weight = everywhere(jax.tree.map(jnp.asarray, source.class_weight), strategy)

    def chunks(self, within: Pass) -> Iterator[Chunk]:
        batches = self._source.take(within.stop, within.skip)
        taken: list[Batch] = []
        over = False
        failure: Exception | None = None
        counts = [0] * len(processes_of(self._strategy))
        while True:
            limit = self.steps if within.room is None else min(self.steps, within.room())
            until = time.perf_counter() + PATIENCE
            while not over and failure is None and len(taken) < limit and (not taken or time.perf_counter() < until):
                try:
                    found = next(batches, None)
                except Exception as error:
                    failure = error
                    break
                over = found is None
                taken += [] if found is None else [found]
            alike = _alike(taken[:limit])
            told = exchanged(
                self._strategy,
                _ABOUT,
                {
                    "steps": alike,
                    "size": _size(taken[0]) if taken else 0,
                    "shapes": _shapes(taken[0] if taken else self._like),
                    "failed": None if taken or failure is None else f"{type(failure).__name__}: {failure!s:.500}",
                },
            )
            if failure is not None and not taken:
                raise known(failure)
            raise_failures(self._strategy, "the data", [each["failed"] for each in told])
            _check_alike(self._strategy, told)
            n = min((each["steps"] for each in told if each["steps"]), default=0)
            if not n:
                _tell_of_lengths(self._strategy, "the data", counts)
                return
            sizes = [each["size"] for each in told]
            n = n if sizes == (self._usual or sizes) else 1
            counts = [count + n * (size > 0) for count, size in zip(counts, sizes, strict=True)]
            given, taken = (taken[:n], taken[n:]) if taken else ([], [])
            # Who makes a backup meanwhile must not miss those that were read and aren't given yet.
            for batch in reversed(taken):
                self._source.put_back(batch)
            yield self._chunk(given, n, sizes)
            for _ in taken:
                self._source.drop()

    def _chunk(self, given: Sequence[Batch], n: int, sizes: list[int]) -> Chunk:
        if self._usual is None:
            self._usual = sizes
        # Batches of other sizes come one at a time: there may be many sizes, and a program for each.
        steps = self.steps if sizes == self._usual else 1
        data = _joined(given, self._like, steps, sizes, self._strategy)
        return Chunk(
            Stacked(data.examples, self._class_weight, data.size, data.where), n, data.size, lambda marker: None
        )


def whole_batch(source: Any, strategy: Strategy) -> Batch:
    """Return the first batch, of all processes, all of which call this. Each of them gets the whole of it."""
    about = "the first batch"
    first: Batch = each_does(strategy, about, source.peek)
    told = exchanged(strategy, about, {"steps": 1, "size": _size(first), "shapes": _shapes(first)})
    _check_alike(strategy, told)
    joined = _joined([first], first, 1, [each["size"] for each in told], strategy)
    whole = jax.tree.map(lambda leaf: local(leaf, strategy), everywhere(joined.at(0), strategy))
    return jax.tree.map(lambda leaf: leaf if is_key(leaf) else np.asarray(leaf), whole)


def shared_lengths(strategy: Strategy | None, name: str, length: int | None) -> list[int | None]:
    """Return how many batches each process has, where it knows. Warns if some have many more than others."""
    found = exchanged(strategy, f"the length of `{name}`", length)
    lengths = [n for n in found if n is not None]
    if strategy is not None and len(lengths) == len(found):
        _tell_of_lengths(strategy, f"`{name}`", lengths)
    return found


def _tell_of_lengths(strategy: Strategy, what: str, lengths: Sequence[int]) -> bool:
    """Warn if some processes have many more batches than others. One more is what equal parts may have."""
    if max(lengths) <= min(lengths) + 1:
        return False
    counts = ", ".join(f"process {p} {n}" for p, n in zip(processes_of(strategy), lengths, strict=True))
    warn(
        f"{what} gives other numbers of batches in some processes than in others ({counts}): the last batches of an "
        "epoch have examples of some of them alone. `tg.parallel.local_part` gives each process an equal part."
    )
    return True


def _joined(given: Sequence[Batch], like: Batch, steps: int, sizes: Sequence[int], strategy: Strategy) -> Stacked:
    """Return batches that consist of what all processes give, one part behind the other.

    **Arguments:**

    - `given`: the parts of this process; none where it has no examples.
    - `like`: a batch with the axes that theirs have.
    - `steps`: for how many batches there is room.
    - `sizes`: how many examples each process gives for a batch.
    """
    room, where = _layout(strategy, sizes)
    rows = own_rows(strategy, room)
    assert rows is not None
    tree = jax.tree.structure(like)
    columns = list(zip(*(jax.tree.leaves(batch) for batch in given), strict=True))
    leaves: list[Any] = []
    for i, (name, leaf) in enumerate(named_leaves(like)):
        stacked = _stacked(columns[i] if columns else (), leaf, steps, len(rows), name)
        leaves.append(split_batches(stacked, strategy, room))
    return Stacked(jax.tree.unflatten(tree, leaves), None, sum(sizes), where)


def _stacked(found: Sequence[Any], like: Any, steps: int, width: int, name: str) -> Any:
    """Return the parts of one leaf, `(steps, width, ...)`. What isn't filled is never looked at."""
    if is_key(like):
        words = [jax.random.key_data(key) for key in found]
        stacked = _stacked(words, jax.random.key_data(like), steps, width, name)
        return jax.random.wrap_key_data(stacked, impl=jax.random.key_impl(like))
    dtype = np.asarray(like).dtype
    buffer = np.zeros((steps, width, *like.shape[1:]), dtype)
    for i, part in enumerate(found):
        buffer[i, : len(part)] = np.asarray(part)
    if dtype.itemsize >= 8:
        check_fits_32_bits(buffer, name)
    return buffer


def _layout(strategy: Strategy, sizes: Sequence[int]) -> tuple[int, Ranges | None]:
    """Return the room in a batch, in which each process has some for its own examples, and where these are."""
    shards = parts(strategy.mesh, strategy.batch)
    owned = rows_of_processes(strategy, shards)
    if sum(map(len, owned)) != shards:
        raise DataError(
            "what gives batches gives each process a part of its own, and with this strategy several have the same: "
            f"its batches are split over {strategy.batch!r}, along which some processes have the same place. Pass "
            "arrays, which every process has as a whole."
        )
    each = max(-(-size // len(rows)) for size, rows in zip(sizes, owned, strict=True))
    room = shards * max(each, 1)
    filled = [rows[:size] for rows, size in zip(rows_of_processes(strategy, room), sizes, strict=True)]
    return room, _ranges(np.concatenate(filled))


def _ranges(rows: np.ndarray) -> Ranges | None:
    """Return rows as ranges; `None` if they are the first ones."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    found = tuple((int(part[0]), int(part[-1]) + 1) for part in np.split(rows, breaks))
    return None if found == ((0, len(rows)),) else found


def _alike(batches: Sequence[Batch]) -> int:
    """Return how many batches there are before one of other shapes."""
    kinds = [signature_of(batch) for batch in batches]
    return next((i for i, kind in enumerate(kinds) if kind != kinds[0]), len(kinds))


def _size(batch: Batch) -> int:
    return int(jax.tree.leaves(batch)[0].shape[0])


def _shapes(batch: Batch) -> list[Any]:
    """Return what has to be the same in all processes."""
    return [[name, list(a.shape[1:]), str(a.dtype)] for name, a in named_leaves(batch)]


def _check_alike(strategy: Strategy, told: Sequence[dict[str, Any]]) -> None:
    """**Raises:** [`treegy.ProcessError`][] if the examples of a process are of other shapes than the first's."""
    processes = processes_of(strategy)
    for process, each in zip(processes, told, strict=True):
        for (name, shape, dtype), (other, wanted, kind) in zip(each["shapes"], told[0]["shapes"], strict=False):
            if (name, shape, dtype) != (other, wanted, kind):
                raise ProcessError(
                    f"the batches of process {process} are not like those of process {processes[0]}: an example of "
                    f"`{name}` is {dtype_name(dtype)}{shape}, and there `{other}` is {dtype_name(kind)}{wanted}."
                )
        if len(each["shapes"]) != len(told[0]["shapes"]):
            raise ProcessError(
                f"the batches of process {process} hold {len(each['shapes'])} arrays, and those of process "
                f"{processes[0]} {len(told[0]['shapes'])}."
            )
