"""`EMA`: validate with averaged parameters."""

from typing import Any, ClassVar

from .._checks import flag
from .._loop._callback import Callback, Logs
from .._steps._model_like import M


class EMA(Callback):
    """Use the averaged parameters that [`treegy.with_ema`][] keeps: for validation, and in the end if wanted.

    The parameters that are trained are never touched during training. Where it stands among the callbacks makes
    no difference: at the end of training its hook is called after those of others, such as one that goes back to the
    best model.

    **Raises:** `ValueError` when training begins if the optimizer keeps no average.
    """

    comes_last: ClassVar[bool] = True

    def __init__(self, validate: bool = True, swap_at_end: bool = False):
        """**Arguments:**

        - `validate`: whether validation looks at the averaged model.
        - `swap_at_end`: whether the model that `fit` returns has the averaged parameters.
        """
        self._validate = flag("validate", validate)
        self._swap = flag("swap_at_end", swap_at_end)

    @property
    def averaged(self) -> Any:
        """The model as it is now, with averaged parameters."""
        return self.model.averaged()

    def on_train_begin(self, logs: Logs) -> None:
        self.model.averaged()

    def to_validate(self, model: M) -> M:
        return model.averaged() if self._validate else model

    def on_train_end(self, logs: Logs) -> None:
        if self._swap:
            self.model = self.model.averaged()
