"""Converters of what losses and metrics are made with and never trace: integers and flags, of NumPy too, and words."""

import operator
from collections.abc import Callable
from typing import Any, Generic, Literal, SupportsIndex, TypeVar, overload

import numpy as np

from ._describe import describe

T = TypeVar("T")


# Converters take anything, to refuse it by name; to type checkers they say what will do.
@overload
def integer(
    name: str, expected: str, *, least: int | None = None, optional: Literal[True]
) -> Callable[[SupportsIndex | None], int | None]: ...
@overload
def integer(name: str, expected: str, *, least: int | None = None) -> Callable[[SupportsIndex], int]: ...
def integer(name: str, expected: str, *, least: int | None = None, optional: bool = False) -> Callable[[Any], Any]:
    """Return a converter to a Python integer.

    **Arguments:**

    - `name`: what the number is called.
    - `expected`: what it stands for.
    - `least`: the smallest that will do; any by default.
    - `optional`: whether `None` will do too.

    The converter raises `TypeError` for what isn't an integer, as booleans and floats aren't, and `ValueError` for one
    that is too small.
    """

    def convert(value: Any) -> Any:
        if value is None and optional:
            return None
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"`{name}` is {expected}, an integer, and got {describe(value)}.")
        if least is not None and value < least:
            raise ValueError(f"`{name}` is {expected}, at least {least}, and got {value}.")
        return operator.index(value)

    return convert


def integers(name: str, expected: str) -> Callable[[Any], Any]:
    """Return a converter to a Python integer, a tuple of several, or None."""
    one = integer(name, expected)

    def convert(value: Any) -> Any:
        if value is None:
            return None
        return tuple(one(v) for v in value) if isinstance(value, list | tuple | np.ndarray) else one(value)

    return convert


def fixed_number(name: str, expected: str, valid: Callable[[float], bool]) -> Callable[[float], float]:
    """Return a converter to a Python float that is never traced, as a formula is chosen by it.

    **Arguments:**

    - `name`: what the number is called.
    - `expected`: what it may be.
    - `valid`: whether a number is in range; false for NaN.

    The converter raises `TypeError` for what isn't a number, as booleans and arrays aren't, and `ValueError` for one
    that is out of range.
    """

    def convert(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"`{name}` is {expected}, and got {describe(value)}.")
        if not valid(float(value)):
            raise ValueError(f"`{name}` is {expected}, and got {value}.")
        return float(value)

    return convert


def flag(name: str) -> Callable[[bool], bool]:
    """Return a converter to a Python boolean, which raises `TypeError` for what isn't one."""

    def convert(value: object) -> bool:
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"`{name}` is True or False, and got {describe(value)}.")
        return bool(value)

    return convert


def function(name: str, expected: str, *, optional: bool = False) -> Callable[[Any], Any]:
    """Return a converter that raises `TypeError` for what isn't a function, nor `None` if that will do too."""

    def convert(value: Any) -> Any:
        if not callable(value) and not (optional and value is None):
            raise TypeError(f"`{name}` is {expected}, and got {describe(value)}.")
        return value

    return convert


def text_or_none(name: str, expected: str) -> Callable[[str | None], str | None]:
    """Return a converter that raises `TypeError` for what is neither a string nor `None`."""

    def convert(value: object) -> Any:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"`{name}` is {expected}, a string, and got {describe(value)}.")
        return value

    return convert


class OneOf(Generic[T]):
    """A converter that refuses what is none of some options.

    It takes anything, to refuse it by name; to type checkers it says what will do.
    """

    def __init__(self, name: str, *options: T):
        """**Arguments:**

        - `name`: what the option is called.
        - `*options`: at least two.
        """
        self._name, self._options = name, options

    def __call__(self, value: T) -> T:
        """**Raises:** `ValueError` for what is none of the options."""
        for option in self._options:
            if isinstance(value, type(option)) and value == option:
                return option
        *others, last = (repr(option) for option in self._options)
        raise ValueError(f"`{self._name}` is one of {', '.join(others)} and {last}, and got {describe(value)}.")
