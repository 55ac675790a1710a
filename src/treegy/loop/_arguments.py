"""The numbers that `fit`, `evaluate` and `predict` take: what they may be, and the words for what they may not."""

import math
from typing import Any

import numpy as np

from .._describe import describe

# More steps in a compiled call, or larger buffers for their batches, make nothing faster.
_STEPS, _BYTES = 32, 8_000_000


def positive(name: str, value: Any, *, zero: bool = False) -> int:
    """`value` as an int that is at least 1, or 0 if `zero`."""
    least = 0 if zero else 1
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"`{name}` is {describe(value)}; an integer of at least {least} is expected.")
    if value < least:
        raise ValueError(f"`{name}` is {value}; at least {least} is expected.")
    return int(value)


def optional(name: str, value: Any) -> int | None:
    """`value` as an int of at least 1, or `None`."""
    return None if value is None else positive(name, value)


def fraction(name: str, value: Any) -> float:
    """`value` as a float in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` is {describe(value)}; a number from 0 to below 1 is expected.")
    if not (0 <= value < 1) or math.isnan(value):
        raise ValueError(f"`{name}` is {value}; a number from 0 to below 1 is expected.")
    return float(value)


def number(name: str, value: Any) -> Any:
    """`value`, if it is a number, and not NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` is {describe(value)}; a number is expected.")
    if math.isnan(value):
        raise ValueError(f"`{name}` is {value}; a number is expected.")
    return value


def flag(name: str, value: Any) -> bool:
    """`value` as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` is {describe(value)}; True or False is expected.")
    return bool(value)


def steps_in_chunk(name: str, value: Any, batch_bytes: int, steps: int | None) -> int:
    """How many steps one compiled call makes: so many that Python's share is small, in little memory."""
    if isinstance(value, str) and value != "auto":
        raise TypeError(f'`{name}` is {value!r}; an integer of at least 1 or "auto" is expected.')
    if not isinstance(value, str):
        return positive(name, value) if steps is None else min(positive(name, value), max(steps, 1))
    return max(1, min(_STEPS if steps is None else steps, _STEPS, _BYTES // max(batch_bytes, 1)))
