"""`ProgbarLogger`: the progress bar, as a callback."""

from .._callback import Callback, Logs


class ProgbarLogger(Callback):
    """Show what `fit(verbose=1)` shows, whatever `verbose` is: for code that chooses callbacks, and not arguments."""

    def on_train_begin(self, logs: Logs) -> None:
        self._run.show(1)
