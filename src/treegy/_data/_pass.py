"""`Pass`: which batches of the data an epoch takes, and in which permutation."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import UInt32
from numpy import ndarray


class Pass(NamedTuple):
    """One epoch's way through the data: a pass over it, or so many batches of the passes that epochs share."""

    key_data: UInt32[ndarray, "2"] | None = None
    """What the permutation of each pass follows from, with the step at which that pass began; without it, examples come
    as they are. Iterables aren't permuted."""
    first_step: int = 0
    """The step at which the first pass over the data began."""
    taken: int = 0
    """How many batches earlier epochs have taken since then, where epochs run on through the data."""
    skip: int = 0
    """How many batches of this epoch to leave out: an earlier process has trained on them."""
    stop: int | None = None
    """After how many batches of this epoch, those left out among them, to stop, if not at the end of the pass."""
    room: Callable[[], int] | None = None
    """How many batches the next chunk may have, if fewer than its feed's `steps`."""
