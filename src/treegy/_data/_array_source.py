"""Arrays as a source: how they are cut into batches, and how these reach the device.

On the CPU arrays stay where the user has them: a chunk is gathered into one of a few aligned buffers, which jax then
reads in place. On an accelerator, data that fits is placed there once, and a chunk is only the positions of its
examples.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import is_key
from .._errors import CheckpointError
from .._placement import default_device
from .._sharding._exchange import exchanged
from .._sharding._placing import everywhere, room_for, split_batches
from .._sharding._processes import own_rows
from .._sharding._strategy import Strategy
from .._types import PyTree, Values
from ._as_arrays import Arrays, batches_in, named_leaves
from ._batch import Batch
from ._chunk import Chunk, Placed, Stacked
from ._in_32_bits import check_fits_32_bits, in_32_bits
from ._pass import Pass
from ._ring_buffer import Ring
from ._shuffle import order
from ._source import Feed, LabelCheck, Source
from ._spread_data import refuse_spread
from ._table_rows import Rows

# Those of `size` examples from the `start`-th of a pass on.
Positions = Callable[[int, int], np.ndarray]

# Up to so many examples the order of an epoch is computed at once.
_WHOLE = 4_000_000


class ArraySource(Source):
    """Batches of arrays."""

    def __init__(self, arrays: Arrays, batch_size: int, remainder: bool = True, continues: bool = False):
        """**Arguments:**

        - `arrays`: the data.
        - `batch_size`: how many examples are in a batch.
        - `remainder`: whether the last batch is used if it is smaller.
        - `continues`: whether epochs have a length of their own, and run on into the next pass.

        **Raises:** `ValueError` if there is no batch then.
        """
        self.arrays = arrays
        self.batch_size = batch_size
        self.remainder = remainder
        self._continues = continues
        self._everywhere: dict[Strategy, list[Any] | None] = {}
        if not self.batches:
            raise ValueError(
                f"`drop_remainder=True` with `batch_size={batch_size}` drops all {arrays.length} examples: nothing "
                "would be trained on."
            )

    def share(self, strategy: Strategy | None) -> None:
        refuse_spread(dict(named_leaves(self.arrays.examples)))

    @property
    def batches(self) -> int:
        return batches_in(self.arrays.length, self.batch_size, self.remainder)

    @property
    def continues(self) -> bool:
        return self._continues

    @property
    def bytes_per_batch(self) -> int:
        return self.batch_size * self.arrays.bytes_per_example

    def counted(self, batches: int) -> str:
        return f"{batches} batches of {self.batch_size}"

    def peek(self) -> Batch:
        return self.arrays.first(self.batch_size)

    def check_labels(self, check: LabelCheck) -> None:
        check(self.arrays.y, self.arrays.sample_weight)

    def next_pass(self) -> None: ...
    def close(self) -> None: ...

    def state(self) -> dict[str, Any]:
        # The position follows from the epoch and the step, and the order from the model's key.
        return {"examples": self.arrays.length, "batch_size": self.batch_size, "remainder": self.remainder}

    def resume(self, state: Values) -> None:
        if dict(state) != self.state():
            raise CheckpointError(
                f"The backup is of a run on other data: on {_counted(state)}, and now there are "
                f"{_counted(self.state())}."
            )

    def feed(self, steps: int, strategy: Strategy | None) -> "ArrayFeed":
        return ArrayFeed(self, steps, strategy)

    def split(self, fraction: float, batch_size: int | None) -> tuple["ArraySource", "ArraySource"]:
        """Return the data without a fraction at its end, and that.

        **Arguments:**

        - `batch_size`: that of the second; the same by default.
        """
        arrays, rest = self.arrays.split(fraction)
        kept = ArraySource(arrays, self.batch_size, self.remainder, self._continues)
        kept.class_weight = self.class_weight
        return kept, ArraySource(rest, batch_size or self.batch_size)

    @functools.cached_property
    def placed(self) -> list[Any] | None:
        """The arrays on the device, where they stay from pass to pass; `None` where that does no good."""
        if not fits_on_device(self.arrays):
            return None
        named = named_leaves(self.arrays.examples)
        return [jnp.asarray(in_32_bits(leaf[:], name)) for name, leaf in named]

    def placed_by(self, strategy: Strategy | None) -> list[Any] | None:
        """Return the arrays on all devices of a strategy; without one, on the device."""
        if strategy is None:
            return self.placed
        if strategy not in self._everywhere:
            # Whether there is room may differ from process to process, and all have to do the same.
            fits = exchanged(strategy, "placing data", self.placed is not None)
            self._everywhere[strategy] = everywhere(self.placed, strategy) if all(fits) else None
        return self._everywhere[strategy]


def _counted(state: Values) -> str:
    if "examples" not in state:
        return "something that gives batches"
    without = "" if state["remainder"] else ", without the remainder"
    return f"{state['examples']} examples in batches of {state['batch_size']}{without}"


class ArrayFeed(Feed):
    """The batches of some arrays, a pass at a time."""

    def __init__(self, source: ArraySource, steps: int, strategy: Strategy | None):
        self._source = source
        self._strategy = strategy
        self.steps = steps
        self._class_weight = everywhere(jax.tree.map(jnp.asarray, source.class_weight), strategy)
        self._length = source.arrays.length
        leaves, self._tree = jax.tree.flatten(source.arrays.examples)
        self._names = [name for name, _ in named_leaves(source.arrays.examples)]
        self._placed = source.placed_by(strategy)
        # On the CPU a jax array is host memory too; keys alone have no NumPy form.
        self._leaves = self._placed or [
            leaf if isinstance(leaf, Rows) or (isinstance(leaf, jax.Array) and is_key(leaf)) else np.asarray(leaf)
            for leaf in leaves
        ]
        self._rings: dict[tuple[int, int], Ring] = {}

    def chunks(self, within: Pass) -> Iterator[Chunk]:
        length = self._source.batches
        if within.stop is None:
            positions = self._positions(within.key_data, within.first_step)
            yield from self._chunks(positions, within.skip, length, within.room)
            return
        done = within.skip
        while done < within.stop:
            # Every pass has as many batches, so where one began follows from how many there were.
            passes, at = divmod(within.taken + done, length)
            positions = self._positions(within.key_data, within.first_step + passes * length)
            for chunk in self._chunks(positions, at, min(length, at + within.stop - done), within.room):
                done += chunk.n
                yield chunk

    def _chunks(
        self, positions: Positions | None, start: int, stop: int, room: Callable[[], int] | None
    ) -> Iterator[Chunk]:
        """Yield the batches of one pass from `start` to before `stop`."""
        size = self._source.batch_size
        full, rest = divmod(self._length, size)
        done = start
        while done < min(full, stop):
            n = min(self.steps, min(full, stop) - done, self.steps if room is None else room())
            yield self._chunk(positions, done * size, n, self.steps, size)
            done += n
        if done < stop:
            yield self._chunk(positions, full * size, 1, 1, rest)

    def _positions(self, key_data: np.ndarray | None, step: int) -> Positions | None:
        """Return the permutation of a pass that began at `step`; `None` for the order that examples are in."""
        length = self._length
        if key_data is None:
            return None
        if length > _WHOLE:
            return lambda start, size: order(key_data, step, length, start, size, np)
        # Asking for positions costs about as much for a chunk as for a whole epoch, unless that is very long.
        whole = order(key_data, step, length, 0, length, np)
        return lambda start, size: whole[start : start + size]

    def _chunk(self, order: Positions | None, start: int, n: int, steps: int, size: int) -> Chunk:
        picked = n * size
        if self._placed is not None:
            positions = np.zeros(steps * size, np.int32)
            positions[:picked] = np.arange(start, start + picked) if order is None else order(start, picked)
            examples = jax.tree.unflatten(self._tree, self._leaves)
            where = everywhere(jnp.asarray(positions.reshape(steps, size)), self._strategy)
            data = Placed(examples, where, self._class_weight)
            return Chunk(data, n, size, lambda marker: None)
        positions = None if order is None else order(start, picked)
        room = room_for(size, self._strategy)
        if room != size:
            # Where there is room left, any example will do: nobody looks at it.
            rows = np.arange(start, start + picked) if positions is None else positions
            positions, picked = np.pad(rows.reshape(n, size), ((0, 0), (0, room - size))).ravel(), n * room
        own, width = own_rows(self._strategy, room), room
        if own is not None:
            rows = np.arange(start, start + picked) if positions is None else positions
            positions, picked, width = rows.reshape(n, room)[:, own].ravel(), n * len(own), len(own)
        slot = self._ring(steps, width).next()
        leaves = [
            split_batches(_gathered(name, leaf, buffer, positions, start, picked, steps, width), self._strategy, room)
            for name, leaf, buffer in zip(self._names, self._leaves, slot.buffers, strict=True)
        ]
        data = Stacked(jax.tree.unflatten(self._tree, leaves), self._class_weight, size)
        return Chunk(data, n, size, slot.used)

    def _ring(self, steps: int, size: int) -> Ring:
        # Rooms of two sizes of batches may be the same, where devices have equal parts.
        if (steps, size) not in self._rings:
            self._rings[steps, size] = Ring(
                [
                    None if isinstance(leaf, jax.Array) else ((steps * size, *leaf.shape[1:]), leaf.dtype)
                    for leaf in self._leaves
                ]
            )
        return self._rings[steps, size]


def fits_on_device(arrays: Arrays) -> bool:
    """Whether the data goes to the device as a whole: on an accelerator, if it takes at most half of what is free."""
    device = default_device()
    if device.platform == "cpu":
        return False
    stats = device.memory_stats() or {}
    free = stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0)
    return arrays.length * arrays.bytes_per_example <= free // 2


def _gathered(
    name: str,
    leaf: PyTree,
    buffer: np.ndarray | None,
    positions: np.ndarray | None,
    start: int,
    picked: int,
    steps: int,
    size: int,
) -> Any:
    """Examples of one leaf in a buffer, as an array `(steps, batch, ...)`."""
    if buffer is None:
        part = leaf[start : start + picked] if positions is None else jnp.take(leaf, jnp.asarray(positions), axis=0)
        # Keys can't be padded with zeros: repeat what there is.
        part = jnp.take(part, jnp.arange(steps * size) % picked, axis=0)
        return part.reshape(steps, size, *leaf.shape[1:])
    if isinstance(leaf, Rows):
        buffer[:picked] = leaf.read(np.arange(start, start + picked) if positions is None else positions)
    elif positions is None:
        buffer[:picked] = leaf[start : start + picked]
    else:
        # `mode="clip"` writes into the buffer directly; positions are within bounds.
        np.take(leaf, positions, axis=0, out=buffer[:picked], mode="clip")
    check_fits_32_bits(buffer[:picked], name)
    return buffer.reshape(steps, size, *leaf.shape[1:])
