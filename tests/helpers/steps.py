"""A linear model with a loss and an optimizer, whatever its steps."""

from typing import Any

import optax

import treegy as tg
from helpers import MSE, linear, numbers

X, Y = numbers(10, 3), numbers(10, 2, seed=1)


def make(cls: Any = tg.Model, module: Any = None, **fields: Any) -> Any:
    """A linear model with a loss and an optimizer, whatever its steps."""
    fields = {"loss": MSE(), "optimizer": optax.sgd(0.1), **fields}
    return cls(linear() if module is None else module, **fields)
