"""What happens where something can't be written that is worth less than the run."""

import contextlib
from collections.abc import Generator

from .._errors import CheckpointError
from .._warn import warn

Errors = type[Exception] | tuple[type[Exception], ...]


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


class Loss:
    """What of a log is lost: warned of once in a run, which continues. What comes later is written if it can be."""

    def __init__(self, logger: str):
        """**Arguments:**

        - `logger`: its name.
        """
        self._logger = logger
        self._told = False
        self.now = False
        """Whether it failed when it was last tried."""

    @contextlib.contextmanager
    def of(self, what: str, errors: Errors = Exception) -> Generator[None]:
        """Warn of these errors instead of raising them.

        **Arguments:**

        - `what`: what can't be done then.
        - `errors`: all by default, as each library has its own.
        """
        try:
            yield
            self.now = False
        except errors as error:
            self.now = True
            if not self._told:
                self._told = True
                text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                warn(f"`{self._logger}` can't {what}: {text:.500}")
