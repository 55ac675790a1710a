"""Anything that gives batches as a source: generators, lists wrapped in an object, PyTorch's and Grain's loaders.

Batches are copied into the buffers of a chunk as they come. While the device computes a chunk, the next one is being
filled: dispatch is asynchronous, so no thread is needed for that.
"""

import base64
import time
import warnings
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._describe import describe, is_arraylike, is_key
from .._driver import Examples
from .._errors import CheckpointError, DataError
from ._arrays import as_arrays, common_length
from ._chunk import Chunk, Stacked
from ._ring import Ring, Slot
from ._rows import is_column, is_table
from ._source import Feed, Source

# A chunk isn't filled for longer than so many seconds: the device would wait for a slow source.
_PATIENCE = 0.1
# Buffers are kept for so many shapes of batches.
_RINGS = 4

_OVER: Any = object()

# Batches that were read from a generator and not used: the next pass over it begins with them, whoever makes it.
_UNUSED: weakref.WeakKeyDictionary[Any, list[Examples]] = weakref.WeakKeyDictionary()


def gives_batches(value: Any) -> bool:
    """Whether `value` is something to iterate over for batches, and no PyTree of arrays."""
    if value is None or is_arraylike(value) or isinstance(value, str | bytes | set | frozenset | range):
        return False
    if not hasattr(value, "__iter__") or hasattr(value, "__array__") or is_table(value) or is_column(value):
        return False
    return isinstance(value, Iterator) or jax.tree_util.all_leaves([value])


class BatchSource(Source):
    """Batches as an iterable gives them: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    What can be iterated over again begins anew for each pass; a generator goes on where it is.
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        name: str,
        *,
        goes_on: bool = False,
        check: Callable[[Any], None] | None = None,
    ):
        """**Arguments:**

        - `iterable`: gives the batches.
        - `name`: what it is called in errors.
        - `goes_on`: whether a pass of so many batches begins where the one before it ended, and begins anew where the
            iterable ends: epochs of a length of their own.
        - `check`: is called with the `y` of each batch.
        """
        self._iterable = iterable
        self._name = name
        self._goes_on = goes_on
        self._check = check
        self._iterator: Iterator[Any] | None = None
        # Other iterators may be set to another place by whoever holds them.
        held = isinstance(iterable, Generator)
        self._waiting: list[Examples] = _UNUSED.setdefault(iterable, []) if held else []
        self._given = self._position = len(self._waiting)
        self._structure: Any = None
        self._known: Any = None
        for examples in self._waiting:
            self._structure = jax.tree.structure(examples)
            if check is not None:
                check(examples.y_true)

    @property
    def restarts(self) -> bool:
        """Whether it can be iterated over again."""
        return not isinstance(self._iterable, Iterator)

    @property
    def goes_on(self) -> bool:
        return self._goes_on

    @property
    def batches(self) -> int | None:
        try:
            found = len(self._iterable)  # pyright: ignore[reportArgumentType]
        except TypeError:
            return None
        # What repeats for ever may have a length, too.
        return found if found < 1 << 32 else None

    @property
    def bytes_per_batch(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.first()))

    def first(self) -> Examples:
        """The batch that the next pass begins with.

        **Raises:** [`treegy.DataError`][] if there is none.
        """
        if not self._waiting:
            found = self._next()
            if found is None:
                raise DataError(self.over)
            self._waiting.append(found)
        return self._waiting[0]

    def take(self, stop: int | None, start: int = 0) -> Iterator[Examples]:
        """The batches of the pass from the `start`-th on, up to the `stop`-th."""
        anew, taken = False, start
        while stop is None or taken < stop:
            found = self._waiting.pop() if self._waiting else self._next()
            if found is not None:
                anew, taken = False, taken + 1
                yield found
            elif self._goes_on and stop is not None and self.restarts and not anew:
                anew = True
            else:
                return
        if self.restarts and not self._goes_on:
            self._iterator = None

    def drop(self) -> None:
        """Don't give what was put back."""
        self._waiting.pop()

    def put_back(self, examples: Examples) -> None:
        """Have it given again."""
        self._waiting.append(examples)

    def state(self) -> dict[str, Any]:
        get_state = getattr(self._iterator, "get_state", None)
        return {
            "position": self._position,
            "iterator": None if get_state is None else _as_text(get_state()),
            "waiting": [jax.tree.leaves(examples) for examples in self._waiting],
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        if "position" not in state:
            raise CheckpointError(
                "The backup is of a training on arrays, and now the data is something that gives batches."
            )
        tree = jax.tree.structure(self.first())
        if state["iterator"] is not None and hasattr(self._iterator, "set_state"):
            self._iterator.set_state(_from_text(state["iterator"]))  # pyright: ignore
            self._position = state["position"]
            self._waiting = [jax.tree.unflatten(tree, leaves) for leaves in state["waiting"]]
            return
        skipped = state["position"] - len(state["waiting"])
        if skipped:
            warnings.warn(
                f"`{self._name}` is {describe(self._iterable)}, which can't be told where to go on: its first "
                f"{skipped} batches are read and left out. That it gives the same ones again is up to it.",
                stacklevel=2,
            )
        for _ in range(skipped):
            found = self._waiting.pop() if self._waiting else self._next()
            if found is None:
                raise CheckpointError(
                    f"`{self._name}` has fewer batches than the backup has been trained on: {skipped}."
                )

    def feed(self, steps: int, class_weight: Any = None) -> "BatchFeed":
        return BatchFeed(self, steps, class_weight)

    @property
    def over(self) -> str:
        """What to say where there are no batches any more."""
        if self.restarts or not self._given:
            return f"`{self._name}` is {describe(self._iterable)}, which gives no batches."
        return (
            f"`{self._name}` is {describe(self._iterable)}, which has ended after {self._given} batches and can't "
            "begin anew. Pass something that can be iterated over again, such as an object whose `__iter__` makes a "
            "new generator."
        )

    def _next(self) -> Examples | None:
        if self._iterator is None:
            self._position = self._position if isinstance(self._iterable, Iterator) else 0
            numpy = getattr(self._iterable, "as_numpy_iterator", None)  # TensorFlow's data sets
            self._iterator = iter(self._iterable) if numpy is None else numpy()
        raw = next(self._iterator, _OVER)  # pyright: ignore[reportArgumentType]
        if raw is _OVER:
            self._iterator = None if self.restarts else self._iterator
            return None
        examples = self._examples(raw)
        self._given += 1
        self._position += 1
        return examples

    def _examples(self, raw: Any) -> Examples:
        """A batch with arrays at its leaves. What was checked once isn't checked again for batches that look alike."""
        parts = raw if type(raw) in (tuple, list) else (raw,)
        leaves, tree = jax.tree.flatten(parts)
        known = [tree, *((type(a), getattr(a, "shape", None), getattr(a, "dtype", None)) for a in leaves)]
        if known == self._known:
            examples = Examples(*parts)
        else:
            examples = self._checked(parts)
            unchanged = all(a is b for a, b in zip(leaves, jax.tree.leaves(examples), strict=True))
            self._known = known if unchanged else None
        if self._check is not None:
            self._check(examples.y_true)
        return examples

    def _checked(self, parts: Any) -> Examples:
        where = f"{self._name}: batch {self._given}"
        if not 1 <= len(parts) <= 3:
            raise DataError(
                f"`{where}` is {describe(parts)}; expected are batches `x`, `(x,)`, `(x, y)` or "
                "`(x, y, sample_weight)`."
            )
        names = ("x", "y", "sample_weight")
        named = {f"{where}: {n}": as_arrays(p, f"{where}: {n}") for n, p in zip(names, parts, strict=False)}
        common_length(named)
        examples = Examples(*named.values())
        structure = jax.tree.structure(examples)
        if self._structure is not None and structure != self._structure:
            raise DataError(
                f"`{where}` is {describe(parts)}, which has another structure than the batches before it: all have "
                "the same."
            )
        self._structure = structure
        return examples


def _as_text(state: Any) -> Any:
    return {"base64": base64.b64encode(state).decode()} if isinstance(state, bytes) else {"plain": state}


def _from_text(state: Mapping[str, Any]) -> Any:
    return base64.b64decode(state["base64"]) if "base64" in state else state["plain"]


class BatchFeed(Feed):
    """The batches of an iterable, a pass at a time."""

    def __init__(self, source: BatchSource, steps: int, class_weight: Any):
        self._source = source
        self.steps = steps
        self._class_weight = None if class_weight is None else jnp.asarray(class_weight)
        # Batches of other shapes than the first come one at a time: there may be many shapes, and a chunk of each.
        self._usual = _signature(source.first())
        self._rings: dict[Any, Ring] = {}

    def epoch(
        self,
        *,
        begin: int = 0,
        words: Any = None,
        start: int = 0,
        stop: int | None = None,
        most: Callable[[], int] | None = None,
    ) -> Iterator[Chunk]:
        filling: _Filling | None = None
        for examples in self._source.take(stop, start):
            signature = _signature(examples)
            if filling is not None and filling.signature != signature:
                # A backup that is made meanwhile must not miss it.
                self._source.put_back(examples)
                yield filling.chunk(self._class_weight)
                examples, filling = self._source.first(), None
                self._source.drop()
            if filling is None:
                room = self.steps if signature == self._usual else 1
                limit = room if most is None else min(room, most())
                filling = _Filling(examples, signature, self._ring(signature, examples, room).next(), room, limit)
            filling.add(examples)
            if filling.is_full:
                yield filling.chunk(self._class_weight)
                filling = None
        if filling is not None:
            yield filling.chunk(self._class_weight)

    def _ring(self, signature: Any, examples: Examples, room: int) -> Ring:
        ring = self._rings.pop(signature, None) or Ring(
            [None if _stays(a) else ((room, *a.shape), a.dtype) for a in jax.tree.leaves(examples)]
        )
        self._rings[signature] = ring
        if len(self._rings) > _RINGS:
            del self._rings[next(iter(self._rings))]
        return ring


class _Filling:
    """A chunk while batches are copied into it."""

    def __init__(self, first: Examples, signature: Any, slot: Slot, room: int, limit: int):
        self.signature = signature
        self._slot = slot
        self._room = room
        self._limit = limit
        self._n = 0
        self._tree = jax.tree.structure(first)
        self._size = jax.tree.leaves(first)[0].shape[0]
        self._staying: list[list[Any]] = [[] for _ in slot.buffers]
        self._until = time.perf_counter() + _PATIENCE

    @property
    def is_full(self) -> bool:
        return self._n >= self._limit or time.perf_counter() > self._until

    def add(self, examples: Examples) -> None:
        for leaf, buffer, staying in zip(jax.tree.leaves(examples), self._slot.buffers, self._staying, strict=True):
            if buffer is None:
                staying.append(leaf)
            else:
                buffer[self._n] = leaf
        self._n += 1

    def chunk(self, class_weight: Any) -> Chunk:
        leaves = [
            # Room that isn't filled is never looked at.
            jnp.stack(staying + staying[-1:] * (self._room - self._n)) if buffer is None else jax.device_put(buffer)
            for buffer, staying in zip(self._slot.buffers, self._staying, strict=True)
        ]
        data = Stacked(jax.tree.unflatten(self._tree, leaves), class_weight)
        return Chunk(data, self._n, self._size, self._slot.used)


def _signature(examples: Examples) -> Any:
    return tuple((a.shape, a.dtype) for a in jax.tree.leaves(examples))


def _stays(leaf: Any) -> bool:
    """Whether a leaf is better left where it is: on an accelerator; keys have no NumPy form."""
    return isinstance(leaf, jax.Array) and (is_key(leaf) or next(iter(leaf.devices())).platform != "cpu")
