"""The checkpoints of a run in several processes: the first one writes what all of them have."""

from collections.abc import Mapping
from typing import Any

import jax

from .._errors import CheckpointError
from .._sharding._exchange import exchanged, first_does
from .._sharding._placing import local
from .._sharding._processes import is_first, is_shared, processes_of
from .._sharding._strategy import Strategy
from .._types import PyTree
from ._checkpoints import Checkpoints
from ._read_checkpoints import read_checkpoint, steps_in


class SharedCheckpoints:
    """As `Checkpoints`, for several processes, all of which call its methods, except `close`.

    The first process has the directory: it alone locks, writes and removes. What is spread over the processes is
    brought together there for it. The others know what it knows.
    """

    def __init__(
        self,
        strategy: Strategy,
        directory: object,
        keep: int | None = None,
        best: str | None = None,
        kind: str | None = None,
    ):
        self.directory = directory
        self._strategy = strategy
        self._own: Checkpoints | None = None

        def opened() -> Any:
            self._own = Checkpoints(directory, keep, best, kind)
            return self._known()

        self._hear(self._first("opening checkpoints", opened))
        if not self._is_same_everywhere():
            self.close()
            first = processes_of(strategy)[0]
            raise CheckpointError(
                f"'{directory}' is another directory in some processes than in process {first}: give one that all of "
                "them see, on a disk that their machines share or in a store."
            )

    steps: list[int]
    """The steps of which there are checkpoints, also one that is being written, in their order."""
    values: dict[int, float]
    """The metric values by which the best are found, by step."""

    def go_on_from(self, step: int) -> None:
        """Discard checkpoints after `step` at the next save: they are damaged, or of another run."""
        if self._own is not None:
            self._own.go_on_from(step)

    def save(self, step: int, document: Mapping[str, object], value: float | None = None) -> None:
        """Begin to write a checkpoint, unless there is one of that step.

        **Raises:** [`treegy.CheckpointError`][] if this one, or the one before it, can't be written.
        """
        whole = _local(document, self._strategy, is_first(self._strategy))

        def write() -> Any:
            assert self._own is not None
            self._own.save(step, whole, value)
            return self._known()

        self._hear(self._first(f"the checkpoint of step {step}", write))

    def delete_all(self) -> None:
        """Remove all checkpoints."""

        def delete() -> Any:
            assert self._own is not None
            self._own.delete_all()
            return self._known()

        self._hear(self._first("removing checkpoints", delete))

    def load(self, step: int) -> dict[str, PyTree]:
        """Return the document of a checkpoint, which each process reads.

        **Raises:** [`treegy.CheckpointError`][] if it is damaged.
        """
        return read_checkpoint(self.directory, step)

    def close(self) -> None:
        """Wait until all is written."""
        # Nothing is exchanged: it is called after failures, too, when the others may be gone.
        if self._own is not None:
            self._own.close()

    def _first(self, about: str, work: Any) -> Any:
        return first_does(self._strategy, f"{about} in '{self.directory}'", work)

    def _known(self) -> Any:
        assert self._own is not None
        return [self._own.steps, list(self._own.values.items())]

    def _hear(self, known: Any) -> None:
        self.steps = known[0]
        self.values = {step: value for step, value in known[1]}

    def _is_same_everywhere(self) -> bool:
        """Whether all processes see what the first one does."""
        seen = exchanged(self._strategy, f"looking into '{self.directory}'", steps_in(self.directory))
        return all(steps == seen[0] for steps in seen)


AnyCheckpoints = Checkpoints | SharedCheckpoints


def open_checkpoints(
    strategy: Strategy | None,
    directory: object,
    keep: int | None = None,
    best: str | None = None,
    kind: str | None = None,
) -> AnyCheckpoints:
    """Return the checkpoints in a directory, of a model with this strategy. The others are as in `Checkpoints`."""
    if strategy is not None and is_shared(strategy):
        return SharedCheckpoints(strategy, directory, keep, best, kind)
    return Checkpoints(directory, keep, best, kind)


def _local(value: object, strategy: Strategy, keep: bool) -> Any:
    """Return a document with arrays that this process has as a whole; all processes call this.

    **Arguments:**

    - `keep`: whether they are wanted in this process. One after the other is brought together otherwise, and let go of.
    """
    if isinstance(value, jax.Array):
        whole = local(value, strategy)
        return whole if keep else None
    if isinstance(value, Mapping):
        return {key: _local(each, strategy, keep) for key, each in value.items()}
    if isinstance(value, list):
        return [_local(each, strategy, keep) for each in value]
    if type(value) is tuple:
        return tuple(_local(each, strategy, keep) for each in value)
    return value
