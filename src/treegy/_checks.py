"""Numbers and flags that users pass: what they may be, and the words for what they may not.

What is checked as a field of a module is set is in `_converters.py`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._describe import describe, is_arraylike
from ._types import PyTree


def positive(name: str, value: object, *, zero: bool = False) -> int:
    """`value` as an int that is at least 1, or 0 if `zero`."""
    least = 0 if zero else 1
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"`{name}` is {describe(value)}; an integer of at least {least} is expected.")
    if value < least:
        raise ValueError(f"`{name}` is {value}; at least {least} is expected.")
    return int(value)


def optional(name: str, value: object) -> int | None:
    """`value` as an int of at least 1, or `None`."""
    return None if value is None else positive(name, value)


def fraction(name: str, value: object) -> float:
    """`value` as a float in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` is {describe(value)}; a number from 0 to below 1 is expected.")
    if not (0 <= value < 1) or math.isnan(value):
        raise ValueError(f"`{name}` is {value}; a number from 0 to below 1 is expected.")
    return float(value)


def number(name: str, value: object) -> Any:
    """`value`, if it is a number, and not NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` is {describe(value)}; a number is expected.")
    if math.isnan(value):
        raise ValueError(f"`{name}` is {value}; a number is expected.")
    return value


def flag(name: str, value: object) -> bool:
    """`value` as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` is {describe(value)}; True or False is expected.")
    return bool(value)


def check_number(name: str, value: PyTree, valid: Callable[[Any], bool], expected: str) -> None:
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
