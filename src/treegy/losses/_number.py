"""Checking the numbers that losses, metrics and regularizers are made with."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._describe import describe, is_arraylike


def check_number(name: str, value: Any, valid: Callable[[Any], bool], expected: str) -> None:
    """Refuse what isn't a number, and a number that is out of range.

    Arrays of numbers are taken as they are, since they may be traced.

    **Arguments:**

    - `name`: what the number is called.
    - `value`: what was given.
    - `valid`: whether a number is in range; false for NaN.
    - `expected`: the range in words.
    """
    if isinstance(value, bool):
        raise TypeError(f"`{name}` is {expected}, and got {describe(value)}.")
    if isinstance(value, int | float | np.number):
        if not valid(value):
            raise ValueError(f"`{name}` is {expected}, and got {value}.")
    elif not (is_arraylike(value) and jnp.issubdtype(value.dtype, jnp.number)):
        raise TypeError(f"`{name}` is {expected}, and got {describe(value)}.")
