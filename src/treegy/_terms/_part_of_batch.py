"""Whether what is evaluated is a part of a batch: see `_steps/_microbatches.py`, which cuts it."""

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import NamedTuple

from jaxtyping import Array

from .._errors import ContractError
from .._types import PyTree
from ._accumulator import Accumulator
from ._term import Term


class PartOfBatch(NamedTuple):
    """A part of a batch that is being evaluated."""

    size: int
    """How many examples the whole batch has."""
    positions: Array
    """Where those of the part are in it: `(part,)`."""
    rng: Array | None
    """The key of its states, and that of the states of the whole batch, from which its examples have theirs."""
    whole_rng: Array | None
    totals: list[tuple[PyTree, Accumulator]]
    """The losses that were computed of it, each with what it was computed from."""


_PART: ContextVar[PartOfBatch | None] = ContextVar("_PART", default=None)


def part_of_batch() -> PartOfBatch | None:
    """Return the part of a batch that is being evaluated; `None` where it is a whole one."""
    return _PART.get()


@contextlib.contextmanager
def evaluating(part: PartOfBatch) -> Generator[PartOfBatch]:
    """Within this context, evaluate a part of a batch."""
    token = _PART.set(part)
    try:
        yield part
    finally:
        _PART.reset(token)


def check_adds_up(term: Term) -> None:
    """**Raises:** [`treegy.ContractError`][] for a loss of a part whose values depend on the other parts."""
    reason = getattr(term.thing, "exempt_from", {}).get("batching")
    if _PART.get() is not None and reason is not None:
        raise ContractError(
            f"{term.who} can't be computed of parts of a batch (`microbatches`): {reason}. Leave `microbatches` out."
        )


def check_is_of_examples(who: str) -> None:
    """**Raises:** [`treegy.ContractError`][] if a part is evaluated, for a loss that is one number of its batch."""
    if _PART.get() is not None:
        raise ContractError(
            f"{who} returned a scalar, and that of a batch can't be told from those of its parts (`microbatches`): "
            "return one value per example, of shape (batch,), or an `Accumulator`."
        )
