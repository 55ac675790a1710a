"""Anything that gives batches as a source: generators, lists wrapped in an object, PyTorch's and Grain's loaders.

Long, since where data is, how it gets there again and what a batch is checked for depend on each other.
"""

import base64
import itertools
import sys
import time
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import jax

from .._describe import describe, is_arraylike
from .._errors import CheckpointError, DataError
from .._sharding._processes import is_shared
from .._sharding._strategy import Strategy
from .._types import PyTree, Values
from .._warn import warn
from ._as_arrays import as_arrays, common_length
from ._batch import Batch
from ._explicit_mesh import refuse_explicit
from ._iterable_feed import BatchFeed
from ._loader_order import order_of, set_epoch, set_order, unresumable_order, warn_of_forked_workers
from ._mappings import is_mapping
from ._parts_feed import PartsFeed, shared_lengths, whole_batch
from ._source import Feed, LabelCheck, Source
from ._spread_data import refuse_spread
from ._table_rows import is_column, is_table

_OVER: Any = object()

# Data of at least such a length repeats for ever.
_ENDLESS = 1 << 32
# What has given so many batches, or has been read for so many seconds, may have no end.
_MANY, _LONG = 10_000, 600.0

# Batches that were read from a generator and not used: the next pass over it begins with them, whoever makes it.
_UNUSED: weakref.WeakKeyDictionary[Any, list[Batch]] = weakref.WeakKeyDictionary()


def gives_batches(value: object) -> bool:
    """Whether `value` is something to iterate over for batches, and no PyTree of arrays."""
    if value is None or is_arraylike(value) or isinstance(value, str | bytes | set | frozenset | range):
        return False
    if not hasattr(value, "__iter__") or hasattr(value, "__array__") or is_table(value) or is_column(value):
        return False
    return isinstance(value, Iterator) or (jax.tree_util.all_leaves([value]) and not is_mapping(value))


class BatchSource(Source):
    """Batches as an iterable gives them: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Each pass asks it for an iterator, as a `for` loop does. What can be iterated over again begins again then; a
    generator continues where it is. The first pass begins only when somebody looks at a batch: until then the data can
    be told of the epoch, and where an earlier process was.
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        name: str,
        *,
        continues: bool = False,
    ):
        """**Arguments:**

        - `iterable`: gives the batches.
        - `name`: what it is called in errors.
        - `continues`: whether a pass of so many batches begins where the one before it ended, and starts over where the
            iterable ends: epochs of a length of their own.
        """
        self._iterable = iterable
        self._name = name
        self._continues = continues
        self._check: LabelCheck | None = None
        self._strategy: Strategy | None = None
        self._lengths: list[int | None] = []
        self._whole: Batch | None = None
        self._iterator: Iterator[Any] | None = None
        # Other iterators may be set to another place by whoever holds them.
        held = isinstance(iterable, Generator)
        self._waiting: list[Batch] = _UNUSED.setdefault(iterable, []) if held else []
        self._passes = 0
        self._position = self._given = len(self._waiting)
        self._has_ended = self._began_again = False
        self._order: Any = None
        self._resuming: Mapping[str, Any] | None = None
        self._resumed = False
        self._sample: Batch | None = None
        self._told = self._told_of_workers = self._told_of_resuming = False
        self._structure: Any = None
        self._known: Any = None
        for batch in self._waiting:
            self._structure = jax.tree.structure(batch)

    def share(self, strategy: Strategy | None) -> None:
        if is_shared(strategy):
            self._strategy = strategy
            self._lengths = shared_lengths(strategy, self._name, self._length)

    def check_labels(self, check: LabelCheck) -> None:
        self._check = check
        for batch in self._waiting:
            check(batch.y_true, batch.sample_weight)

    @property
    def continues(self) -> bool:
        return self._continues

    @property
    def _length(self) -> int | None:
        try:
            return len(self._iterable)  # pyright: ignore[reportArgumentType]
        except Exception:  # Whatever its `__len__` raises: it has no length that is known.
            return None

    @property
    def batches(self) -> int | None:
        found = self._length
        if self._strategy is not None:
            found = None if None in self._lengths else max(n for n in self._lengths if n is not None)
        return None if found is None or found >= _ENDLESS else found

    @property
    def is_endless(self) -> bool:
        if isinstance(self._iterable, itertools.cycle | itertools.count):
            return True
        # What repeats for ever may have a length, too.
        return (self._length or 0) >= _ENDLESS

    @property
    def bytes_per_batch(self) -> int:
        first = self.peek() if self._strategy is None else self.first()._replace(class_weight=None)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(first))

    @property
    def is_peekable(self) -> bool:
        return False

    def first(self) -> Batch:
        if self._strategy is None:
            return super().first()
        if self._whole is None:
            self._whole = whole_batch(self, self._strategy)
        return self._whole._replace(class_weight=self.class_weight)

    def peek(self) -> Batch:
        """Return the batch that the next pass begins with, or one that looks like it where a resumed pass is over.

        **Raises:** [`treegy.DataError`][] if there is none.
        """
        if self._resuming is not None or not self._waiting:
            found = self._next()
            if found is None:
                return self._sample_batch()
            self._waiting.insert(0, found)
        return self._waiting[0]

    def _sample_batch(self) -> Batch:
        """Return a batch that looks like those of a pass which is over since an earlier process."""
        if self._sample is None and self._resumed and hasattr(self._iterator, "set_state"):
            # It could be told where to resume, and another iterator of it may be looked at.
            self._sample = self._examples(next(iter(self._iterable)), checked=False)
        if self._sample is None:
            raise DataError(self.over)
        return self._sample

    def take(self, stop: int | None, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of the pass from the `start`-th on, up to the `stop`-th."""
        again, taken = False, start
        began = time.monotonic()
        while stop is None or taken < stop:
            if stop is None and not self._told and self.batches is None and _is_long(taken, began):
                self._told = True
                warn(
                    f"`{self._name}` is {describe(self._iterable)}, which has given {taken} batches and not ended. If "
                    "it has no end, say how many batches to look at: `steps_per_epoch`, `validation_steps` or `steps`."
                )
            found = self._next()
            if found is not None:
                again, taken = False, taken + 1
                yield found
            elif self._continues and stop is not None and not again:
                again = True
                self._end_pass()
            else:
                return

    def drop(self) -> None:
        """Don't give what was put back."""
        self._waiting.pop()

    def put_back(self, batch: Batch) -> None:
        """Have it given again."""
        self._waiting.append(batch)

    def begin_epoch(self, epoch: int) -> None:
        if self._iterator is None and not self._continues:
            set_epoch(self._iterable, epoch)

    def next_pass(self) -> None:
        if not self._continues:
            self._end_pass()

    def close(self) -> None:
        self._let_go()

    def _end_pass(self) -> None:
        self._let_go()
        self._passes += 1

    def _let_go(self) -> None:
        iterator, self._iterator, self._sample = self._iterator, None, None
        if not self.is_one_shot:
            self._waiting = []
        self._position = len(self._waiting)
        # Two references are those of this call. If there are more, somebody else may use it further.
        if iterator is not self._iterable and hasattr(iterator, "close") and sys.getrefcount(iterator) <= 2:
            iterator.close()  # pyright: ignore

    @property
    def unresumable(self) -> str | None:
        """Why another process can't give the same batches, as far as that can be seen by now; `None` if it may."""
        reason = unresumable_order(self._iterable, self._iterator)
        return None if reason is None else f"`{self._name}` is {describe(self._iterable)}, {reason}"

    def state(self) -> dict[str, Any]:
        if self._resuming is not None:
            return dict(self._resuming)
        get_state = getattr(self._iterator, "get_state", None)
        return {
            "passes": self._passes,
            "position": self._position,
            "given": self._given,
            "has_ended": self._has_ended,
            "began_again": self._began_again,
            # Between passes, that of the next one.
            "order": order_of(self._iterable) if self._iterator is None else self._order,
            "iterator": None if get_state is None else _as_text(get_state()),
            "waiting": [jax.tree.leaves(batch) for batch in self._waiting],
        }

    def resume(self, state: Values) -> None:
        if "position" not in state:
            raise CheckpointError("The backup is of a run on arrays, and now the data is something that gives batches.")
        self._let_go()
        self._passes = state["passes"]
        self._resuming = state

    @property
    def is_one_shot(self) -> bool:
        """Whether it is its own iterator, and isn't known to begin again: it continues where it is."""
        return isinstance(self._iterable, Iterator) and not self._began_again

    def _opened(self) -> Iterator[Any]:
        """Ask for an iterator: that of a pass, at its beginning or where an earlier process was."""
        state, self._resuming = self._resuming, None
        self._resumed = state is not None
        if self._continues:
            set_epoch(self._iterable, self._passes)
        if not self._told_of_workers:
            self._told_of_workers = True
            warn_of_forked_workers(self._iterable, self._name)
        known = state is not None and set_order(self._iterable, state["order"], state["passes"])
        self._order = order_of(self._iterable)
        numpy = getattr(self._iterable, "as_numpy_iterator", None)  # TensorFlow's data sets
        iterator: Any = iter(self._iterable) if numpy is None else numpy()
        return iterator if state is None else self._restored(iterator, state, known)

    def _restored(self, iterator: Any, state: Values, known: bool) -> Iterator[Any]:
        """Bring a new iterator to where an earlier process was.

        **Arguments:**

        - `known`: whether the order of its pass is that of the earlier process.
        """
        self._has_ended, self._began_again = state["has_ended"], state["began_again"]
        settable = hasattr(iterator, "set_state")
        if settable and state["iterator"] is not None:
            if state["waiting"]:
                sample = self._examples(next(iter(self._iterable)))
                tree = jax.tree.structure(sample)
                self._waiting = [jax.tree.unflatten(tree, leaves) for leaves in state["waiting"]]
            _set_state(iterator, state["iterator"], self._name)
            self._position, self._given = state["position"], state["given"]
            return iterator
        alone = self.is_one_shot
        skipped = state["given" if alone else "position"] - len(state["waiting"])
        past = [f"the passes before this one ({state['passes']}) are unknown to it"]
        past *= state["passes"] > 0 and not alone and not known and not settable
        past += [f"its first {skipped} batches are read and left out"] * (skipped > 0)
        if past and not self._told_of_resuming:
            self._told_of_resuming = True
            same = "" if known else " That it gives the same batches all the same is up to it."
            warn(
                f"`{self._name}` is {describe(self._iterable)}, which can't be told where to resume: "
                f"{', and '.join(past)}.{same}",
            )
        raw = _OVER
        # Of what continues where it is, some may have been read already.
        left = skipped - len(self._waiting)
        del self._waiting[:skipped]
        for _ in range(left):
            raw = next(iterator, _OVER)
            if raw is _OVER:
                raise CheckpointError(f"`{self._name}` has fewer batches than were read of it then: {skipped}.")
        self._position = skipped + len(self._waiting)
        self._given = state["given"] - len(state["waiting"]) + len(self._waiting)
        if raw is not _OVER:
            self._sample = self._examples(raw, checked=False)
        # A pass that has ended: whether another one begins is asked again, as it was then.
        return iter(self._iterable) if alone and self._has_ended else iterator

    def feed(self, steps: int, strategy: Strategy | None) -> Feed:
        if strategy is not None and self._strategy is not None:
            return PartsFeed(self, steps, strategy)
        return BatchFeed(self, steps, strategy)

    @property
    def over(self) -> str:
        """What to say where there are no batches any more."""
        what = f"`{self._name}` is {describe(self._iterable)}, which"
        mend = (
            "Pass something that can be iterated over again, such as an object whose `__iter__` makes a new generator."
        )
        if not self._given:
            return f"{what} gives no batches."
        if isinstance(self._iterable, Iterator):
            return f"{what} has ended after {self._given} batches and can't begin again. {mend}"
        return (
            f"{what} gave {self._given} batches, and none when it was iterated over again: something within it can be "
            f"iterated over once only, as a generator. {mend}"
        )

    def _next(self) -> Batch | None:
        opened = self._iterator is None and (self._resuming is not None or not self._waiting)
        if opened:
            self._iterator = self._opened()
        if self._waiting:
            return self._waiting.pop()
        assert self._iterator is not None
        raw = next(self._iterator, _OVER)
        if raw is _OVER:
            self._has_ended = True
            return None
        self._began_again = self._began_again or (opened and self._has_ended)
        batch = self._examples(raw)
        self._given += 1
        self._position += 1
        return batch

    def _examples(self, raw: PyTree, checked: bool = True) -> Batch:
        """Return a batch with arrays at its leaves. Batches that look alike are checked once."""
        parts = raw if type(raw) in (tuple, list) else _of_named_tuple(raw, f"{self._name}: batch {self._given}")
        leaves, tree = jax.tree.flatten(parts)
        known = [tree, *((type(a), getattr(a, "shape", None), getattr(a, "dtype", None)) for a in leaves)]
        if known == self._known:
            batch = Batch(*parts)
        else:
            batch = self._checked(parts)
            unchanged = all(a is b for a, b in zip(leaves, jax.tree.leaves(batch), strict=True))
            self._known = known if unchanged else None
        if checked and self._check is not None:
            self._check(batch.y_true, batch.sample_weight)
        return batch

    def _checked(self, parts: PyTree) -> Batch:
        where = f"{self._name}: batch {self._given}"
        if not 1 <= len(parts) <= 3:
            raise DataError(
                f"`{where}` is {describe(parts)}; expected are batches `x`, `(x,)`, `(x, y)` or "
                "`(x, y, sample_weight)`."
            )
        names = ("x", "y", "sample_weight")
        named = {f"{where}: {n}": as_arrays(p, f"{where}: {n}") for n, p in zip(names, parts, strict=False)}
        refuse_explicit(named)
        refuse_spread(named)
        common_length(named)
        batch = Batch(*named.values())
        structure = jax.tree.structure(batch)
        if self._structure is not None and structure != self._structure:
            raise DataError(
                f"`{where}` is {describe(parts)}, which has another structure than the batches before it: all have "
                "the same."
            )
        self._structure = structure
        return batch


def _is_long(taken: int, began: float) -> bool:
    """Whether a pass of unknown length may have no end: after many batches, or after a while."""
    return taken >= _MANY or time.monotonic() - began > _LONG


def _as_text(state: Any) -> Any:
    return {"base64": base64.b64encode(state).decode()} if isinstance(state, bytes) else {"plain": state}


def _from_text(state: Values) -> Any:
    return base64.b64decode(state["base64"]) if "base64" in state else state["plain"]


def _set_state(iterator: Any, state: Values, name: str) -> None:
    try:
        iterator.set_state(_from_text(state))
    except Exception as error:  # Whatever another library raises for a state that isn't its own.
        raise CheckpointError(
            f"`{name}` can't be set to where the backup was made: {type(error).__name__}: {error!s:.300}. It is to be "
            "made as it was then."
        ) from error


def _of_named_tuple(value: object, where: str) -> Any:
    """Return the parts of a batch that isn't a plain tuple: itself alone, or those of a named tuple that names them.

    **Raises:** [`treegy.DataError`][] for a named tuple that may be one input, or a pair.
    """
    fields = getattr(value, "_fields", None)
    if not isinstance(value, tuple) or fields is None or not 2 <= len(fields) <= 3:
        return (value,)
    if fields == ("x", "y", "sample_weight")[: len(fields)]:
        return tuple(value)
    raise DataError(
        f"`{where}` is a named tuple, {describe(value)}, which may be one input, or an input with its label. Give a "
        f"plain tuple: `tuple(batch)` for `({'x, y' if len(fields) == 2 else 'x, y, sample_weight'})`, or `(batch,)` "
        "for one input."
    )
