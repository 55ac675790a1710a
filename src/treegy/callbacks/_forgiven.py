"""What happens where a checkpoint can't be written and the training is over."""

import contextlib
from collections.abc import Generator

from .._errors import CheckpointError
from .._warn import warn


@contextlib.contextmanager
def forgiven(over: bool) -> Generator[None]:
    """Warn of a [`treegy.CheckpointError`][] instead of raising it, if no further step is made.

    The model that `fit` returns is worth more than the checkpoint that is missing.
    """
    try:
        yield
    except CheckpointError as error:
        if not over:
            raise
        warn(f"{error}. The last checkpoint is missing.")
