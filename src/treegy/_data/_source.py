"""Where batches come from: what `fit`, `evaluate` and `predict` need to know of their data, whatever it is.

A source is the data itself: arrays that are cut into batches (`_array_source.py`), or something that gives batches one
by one (`_iterable_source.py`). Its feed is the data on its way: passes over it, in chunks, ready for the device.
"""

import abc
from collections.abc import Callable, Iterator
from typing import Any

from .._errors import DataError
from .._sharding._strategy import Strategy
from .._types import PyTree, Values
from .._warn import warn
from ._batch import Batch
from ._chunk import Chunk
from ._pass import Pass

LabelCheck = Callable[[PyTree, PyTree], None]


class Feed(abc.ABC):
    """The batches of a source, a pass at a time."""

    steps: int
    """How many batches at most are in a chunk."""

    @abc.abstractmethod
    def chunks(self, within: Pass) -> Iterator[Chunk]:
        """Yield the batches of an epoch. Those of another size are in chunks of their own."""


class Source(abc.ABC):
    """Data that batches can be made of."""

    class_weight: PyTree = None
    """What every batch has besides its examples: the tables of class weights."""

    def share(self, strategy: Strategy | None) -> None:  # noqa: B027 (may be of no interest)
        """Tell the data which strategy the model has that it is for, before anything is asked of it.

        **Raises:** [`treegy.DataError`][] if it can't be cut into batches for it.
        """

    @property
    @abc.abstractmethod
    def batches(self) -> int | None:
        """How many batches a pass has, if that is known before."""

    @property
    @abc.abstractmethod
    def bytes_per_batch(self) -> int: ...

    @property
    def is_endless(self) -> bool:
        """Whether a pass is known to have no end."""
        return False

    @property
    def continues(self) -> bool:
        """Whether the next pass begins where the one before it ended, and so may be longer than the data."""
        return False

    @property
    def is_peekable(self) -> bool:
        """Whether a batch can be looked at without beginning a pass, as that of arrays can."""
        return True

    @property
    def unresumable(self) -> str | None:
        """Why another process can't give the same batches, as far as that can be seen by now; `None` if it may."""
        return None

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 (most have nothing to be told)
        """Tell the data which epoch begins, or is resumed, before its first batch is looked at."""

    def counted(self, batches: int) -> str:
        return f"{batches} batches"

    def first(self) -> Batch:
        """Return a batch of which shapes are looked at. The next pass begins with it all the same."""
        return self.peek()._replace(class_weight=self.class_weight)

    @abc.abstractmethod
    def peek(self) -> Batch:
        """Return the examples of that batch, without class weights."""

    @abc.abstractmethod
    def check_labels(self, check: LabelCheck) -> None:
        """Call `check` with `y` and `sample_weight` of all examples now, or of each batch when it comes."""

    @abc.abstractmethod
    def next_pass(self) -> None:
        """End the pass: the next one begins again, unless epochs have a length of their own."""

    @abc.abstractmethod
    def close(self) -> None:
        """No further pass follows: let go of what was opened for them, and of nothing that is the user's."""

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """Where the passes over the data are, for a backup."""

    @abc.abstractmethod
    def resume(self, state: Values) -> None:
        """Resume from what `state` returned in an earlier process.

        **Raises:** [`treegy.CheckpointError`][] if it was of other data.
        """

    @abc.abstractmethod
    def feed(self, steps: int, strategy: Strategy | None) -> Feed:
        """**Arguments:**

        - `steps`: how many batches at most are in a chunk.
        - `strategy`: over which devices batches are split, if they are.
        """


def check_steps(name: str, steps: int | None, source: Source) -> None:
    """Raise if a pass has fewer than `steps` batches, or no end that `steps` would give it, as far as that is known."""
    there_are = source.batches
    if steps is None and source.is_endless:
        raise DataError(f"the data has no end: say with `{name}` how many of its batches to look at.")
    if steps is not None and there_are is not None and steps > there_are and not source.continues:
        raise ValueError(f"`{name}` is {steps}, and the data has {source.counted(there_are)}.")


def tell_if_short(source: Source, done: int) -> None:
    """Warn if a pass has had fewer batches than the data has by its length."""
    expected = source.batches
    if expected is not None and done < expected:
        warn(f"the data has a length of {expected} batches, and a pass over it gave {done}.")
