"""The learning rate in the state of an optimizer, for callbacks that change it."""

from typing import Any

from ..optimizers._hyperparameters import hyperparameters, replace_hyperparameter

_NAMES = ("lr", "learning_rate")


class Hyperparameter:
    """A hyperparameter by its name."""

    def __init__(self, name: str | None):
        """**Arguments:**

        - `name`: `lr` or `learning_rate`, whichever there is, if `None`.
        """
        self._name = name

    def check(self, model: Any) -> None:
        """**Raises:** `ValueError` unless it can be changed."""
        replace_hyperparameter(model, self._found(model), self.read(model))

    def read(self, model: Any) -> float:
        return hyperparameters(model.states).get(self._found(model), 0.0)

    def replaced(self, model: Any, value: float) -> Any:
        return replace_hyperparameter(model, self._found(model), value)

    def _found(self, model: Any) -> str:
        if self._name is not None:
            return self._name
        there = hyperparameters(model.states)
        return next((name for name in _NAMES if name in there), "learning_rate")
