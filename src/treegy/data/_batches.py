"""Anything that gives batches as a source: generators, lists wrapped in an object, PyTorch's and Grain's loaders."""

import base64
import itertools
import sys
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

import jax

from .._describe import describe, is_arraylike
from .._driver import Examples
from .._errors import CheckpointError, DataError
from .._warn import warn
from ._arrays import as_arrays, common_length
from ._batch_feed import BatchFeed
from ._explicit_mesh import refuse_explicit
from ._rows import is_column, is_table
from ._source import Source

_OVER: Any = object()

# Data of at least such a length repeats for ever.
_ENDLESS = 1 << 32
# What has given so many batches, or has been read for so many seconds, may have no end.
_MANY, _LONG = 10_000, 600.0

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
    ):
        """**Arguments:**

        - `iterable`: gives the batches.
        - `name`: what it is called in errors.
        - `goes_on`: whether a pass of so many batches begins where the one before it ended, and begins anew where the
            iterable ends: epochs of a length of their own.
        """
        self._iterable = iterable
        self._name = name
        self._goes_on = goes_on
        self._check: Callable[[Any, Any], None] | None = None
        self._iterator: Iterator[Any] | None = None
        # Other iterators may be set to another place by whoever holds them.
        held = isinstance(iterable, Generator)
        self._waiting: list[Examples] = _UNUSED.setdefault(iterable, []) if held else []
        self._given = self._position = len(self._waiting)
        self._passes = 0
        self._told = False
        self._structure: Any = None
        self._known: Any = None
        for examples in self._waiting:
            self._structure = jax.tree.structure(examples)

    def check_labels(self, check: Callable[[Any, Any], None]) -> None:
        self._check = check
        for examples in self._waiting:
            check(examples.y_true, examples.sample_weight)

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
        return found if found < _ENDLESS else None

    @property
    def is_endless(self) -> bool:
        if isinstance(self._iterable, itertools.cycle | itertools.count):
            return True
        try:
            # What repeats for ever may have a length, too.
            return len(self._iterable) >= _ENDLESS  # pyright: ignore[reportArgumentType]
        except TypeError:
            return False

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
        began = time.monotonic()
        while stop is None or taken < stop:
            if stop is None and not self._told and self.batches is None and _is_long(taken, began):
                self._told = True
                warn(
                    f"`{self._name}` is {describe(self._iterable)}, which has given {taken} batches and not ended. If "
                    "it has no end, say how many batches to look at: `steps_per_epoch`, `validation_steps` or `steps`."
                )
            found = self._waiting.pop() if self._waiting else self._next()
            if found is not None:
                anew, taken = False, taken + 1
                yield found
            elif self._goes_on and stop is not None and self.restarts and not anew:
                anew = True
            else:
                return

    def drop(self) -> None:
        """Don't give what was put back."""
        self._waiting.pop()

    def put_back(self, examples: Examples) -> None:
        """Have it given again."""
        self._waiting.append(examples)

    def next_pass(self) -> None:
        if self.restarts and not self._goes_on:
            self._begin_anew()

    def close(self) -> None:
        if self.restarts:
            self._let_go()

    def _begin_anew(self) -> None:
        self._let_go()
        self._passes += 1

    def _let_go(self) -> None:
        iterator, self._iterator = self._iterator, None
        self._waiting, self._position = [], 0
        # Two references are those of this call. If there are more, somebody else may go on with it.
        if hasattr(iterator, "close") and sys.getrefcount(iterator) <= 2:
            iterator.close()  # pyright: ignore

    def state(self) -> dict[str, Any]:
        get_state = getattr(self._iterator, "get_state", None)
        return {
            "passes": self._passes,
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
        waiting = [jax.tree.unflatten(tree, leaves) for leaves in state["waiting"]]
        skipped = state["position"] - len(waiting)
        settable = hasattr(self._iterator, "set_state")
        self._passes = state["passes"]
        if settable and state["iterator"] is not None:
            self._iterator.set_state(_from_text(state["iterator"]))  # pyright: ignore
            self._position, self._waiting = state["position"], waiting
            return
        past = [f"the passes before this one ({self._passes}) are unknown to it"] * (self._passes > 0 and not settable)
        past += [f"its first {skipped} batches are read and left out"] * (skipped > 0)
        if past:
            warn(
                f"`{self._name}` is {describe(self._iterable)}, which can't be told where to go on: "
                f"{', and '.join(past)}. That it gives the same batches all the same is up to it.",
            )
        if self.restarts:
            # What was looked at is from before callbacks were told of the epoch, on which its order may depend.
            self._let_go()
        for _ in range(skipped):
            found = self._waiting.pop() if self._waiting else self._next()
            if found is None:
                raise CheckpointError(f"`{self._name}` has fewer batches than were read of it then: {skipped}.")

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
            if self.restarts and self._goes_on:
                self._begin_anew()
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
            self._check(examples.y_true, examples.sample_weight)
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
        refuse_explicit(named)
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


def _is_long(taken: int, began: float) -> bool:
    """Whether a pass of unknown length may have no end: after many batches, or after a while."""
    return taken >= _MANY or time.monotonic() - began > _LONG


def _as_text(state: Any) -> Any:
    return {"base64": base64.b64encode(state).decode()} if isinstance(state, bytes) else {"plain": state}


def _from_text(state: Mapping[str, Any]) -> Any:
    return base64.b64decode(state["base64"]) if "base64" in state else state["plain"]
