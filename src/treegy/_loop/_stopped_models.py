"""Those models of a stack that train no more, while the others do."""

from typing import Any

import numpy as np

from .._steps._model_like import ModelLike
from .._steps._stacks import where_models
from .._types import Values
from ._engine import Engine


class StoppedModels:
    """Which models have stopped, and as what they stay: none at first.

    The engine trains all of a stack. Whoever looks at the model has those that have stopped put back before.
    """

    def __init__(self):
        self._which: np.ndarray | None = None
        self._stack: ModelLike | None = None

    def stop(self, which: np.ndarray, engine: Engine) -> bool:
        """Have some models, `(models,)`, stay as they are now. Returns whether all have stopped."""
        self.put_back(engine)
        self._which = which if self._which is None else which | self._which
        self.hold(engine)
        return bool(self._which.all())

    def hold(self, engine: Engine) -> None:
        """Take those that have stopped as they are in the engine now."""
        if self._which is not None:
            self._stack = engine.copy()

    def put_back(self, engine: Engine) -> None:
        """Have those that have stopped as they were then, whatever steps have been made since."""
        if self._which is not None and self._stack is not None:
            engine.replace(where_models(self._which, self._stack, engine.model))

    def without_them(self, logs: Values) -> dict[str, Any]:
        """Return metric values in which those of models that have stopped are NaN."""
        return {name: self._without_them(value) for name, value in logs.items()}

    def _without_them(self, value: Any) -> Any:
        if self._which is None or not np.issubdtype(value.dtype, np.floating):
            return value
        return np.where(self._which.reshape(-1, *[1] * (value.ndim - 1)), np.nan, value)
