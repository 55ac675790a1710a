"""`ProgbarLogger`: the progress bar, as a callback."""

from collections.abc import Sequence
from typing import ClassVar

from .._describe import describe
from .._loop._callback import Callback, Logs


class ProgbarLogger(Callback):
    """Show what `fit(verbose=1)` shows, whatever `verbose` is: for code that chooses callbacks, and not arguments."""

    only_first_process: ClassVar[bool] = True

    def __init__(self, show: Sequence[str] | None = None):
        """**Arguments:**

        - `show`: the names of the metric values to show, in this order, such as `["loss", "val_loss"]`; all by default.
            Those that an epoch doesn't have are left out.
        """
        if isinstance(show, str) or not all(isinstance(name, str) for name in show or ()):
            raise TypeError(f"`show` is {describe(show)}; a list of names is expected, such as `['loss', 'val_loss']`.")
        self._shown = None if show is None else tuple(show)

    def on_train_begin(self, logs: Logs) -> None:
        self.training_run.show(1, self._shown)
