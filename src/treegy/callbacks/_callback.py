"""`Callback`: the base class of callbacks."""

from collections.abc import Callable, Mapping
from typing import Any

Logs = Mapping[str, Any]


class Callback:
    """What happens besides training: override the hooks at whose moments something is to be done.

    The names are Keras's. `logs` are Python floats (NumPy arrays where a figure isn't a scalar) over the epoch so far.
    A callback that overrides a hook of training batches makes the loop stop after every batch, which costs speed;
    the other hooks cost nothing in between.

    !!! example

        ```python
        import treegy as tg

        class StopAt(tg.callbacks.Callback):
            def __init__(self, loss: float):
                self.loss = loss

            def on_epoch_end(self, epoch, logs):
                if logs["loss"] < self.loss:
                    self.stop(f"the loss is below {self.loss}")
        ```
    """

    _current: Callable[[], Any] | None = None
    _stop: Callable[[str], None] | None = None

    @property
    def model(self) -> Any:
        """The model as it is now: a copy, which stays valid when training goes on."""
        if self._current is None:
            raise AttributeError("a callback has a `model` while `fit`, `evaluate` or `predict` runs.")
        return self._current()

    def stop(self, reason: str | None = None) -> None:
        """End the training after this epoch, or after this batch if called in a hook of batches.

        **Arguments:**

        - `reason`: what `history.stopped` says; the name of the callback by default.
        """
        if self._stop is not None:
            self._stop(reason or type(self).__name__)

    def on_train_begin(self, logs: Logs) -> None: ...
    def on_train_end(self, logs: Logs) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs) -> None: ...
    def on_train_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Logs) -> None: ...
    def on_test_begin(self, logs: Logs) -> None: ...
    def on_test_end(self, logs: Logs) -> None: ...
    def on_test_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_test_batch_end(self, batch: int, logs: Logs) -> None: ...
    def on_predict_begin(self, logs: Logs) -> None: ...
    def on_predict_end(self, logs: Logs) -> None: ...
    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_predict_batch_end(self, batch: int, logs: Logs) -> None: ...
