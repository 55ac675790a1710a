"""Checking the numbers that losses, metrics and regularizers are made with."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .._describe import describe, is_arraylike


def check_number(name: str, value: Any, valid: Callable[[Any], bool], expected: str) -> None:
    """Refuse what isn't a number, and a number that is out of range.

    Arrays are taken as they are, since they may be traced.

    **Arguments:**

    - `name`: what the number is called.
    - `value`: what was given.
    - `valid`: whether a number is in range; false for NaN.
    - `expected`: the range in words.
    """
    if isinstance(value, int | float | np.number):
        if not valid(value):
            raise ValueError(f"`{name}` is {expected}, and got {value}.")
    elif not is_arraylike(value):
        raise TypeError(f"`{name}` is {expected}, and got {describe(value)}.")


def as_integer(value: Any) -> Any:
    """A Python integer, of one of NumPy too; anything else as it is, to be refused by name."""
    # Booleans and arrays of no axes are indices to Python as well.
    return operator.index(value) if isinstance(value, np.integer) else value


def check_integer(name: str, value: Any, least: int | None, expected: str) -> None:
    """Refuse what isn't a Python integer, and one that is too small.

    **Arguments:**

    - `name`: what the number is called.
    - `value`: what was given, after `as_integer`.
    - `least`: the smallest that will do; any by default.
    - `expected`: what it stands for.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}` is {expected}, an integer, and got {describe(value)}.")
    if least is not None and value < least:
        raise ValueError(f"`{name}` is {expected}, at least {least}, and got {value}.")
