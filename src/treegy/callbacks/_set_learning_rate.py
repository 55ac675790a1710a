"""The learning rate in the state of an optimizer, for callbacks that change it."""

from typing import Any

from .._steps._model_like import M, ModelLike
from ..optimizers._hyperparameters import hyperparameters, with_hyperparameter

_NAMES = ("lr", "learning_rate")


class Hyperparameter:
    """A hyperparameter by its name."""

    def __init__(self, name: str | None):
        """**Arguments:**

        - `name`: `lr` or `learning_rate`, whichever there is, if `None`.
        """
        self._name = name

    def check(self, model: ModelLike) -> None:
        """**Raises:** `ValueError` unless it can be changed."""
        with_hyperparameter(model.states, self._found(model), self.read(model))

    def read(self, model: ModelLike) -> Any:
        """Return its value; of a stack of models an array of those of each."""
        return hyperparameters(model.states).get(self._found(model), 0.0)

    def replaced(self, model: M, value: Any) -> M:
        states = model.states
        optimizer_states = with_hyperparameter(states, self._found(model), value)
        return model.replace(states=states.update(optimizer_states=optimizer_states))

    def _found(self, model: ModelLike) -> str:
        if self._name is not None:
            return self._name
        there = hyperparameters(model.states)
        return next((name for name in _NAMES if name in there), "learning_rate")
