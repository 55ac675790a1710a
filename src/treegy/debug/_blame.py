"""Which elements of a value are not finite, and because of what. How that is found out is in `_replay.py`."""

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ._place import Place

# What stands for a value that isn't finite where it is asked what becomes of the others. Few functions mind the first,
# and large factors not the second.
HARMLESS, SMALL = 0.5, 1e-3

Value: TypeAlias = jax.Array | np.ndarray | bool | int | float | complex
"""A value of a program. Those that are written in it may be numbers of Python, as JAX keeps them."""


@dataclass(eq=False)
class Origin:
    """Something not finite that was there before, or that an operation made of finite numbers."""

    number: int
    """Of the operation, in the order in which they run; below 0 for what was there before."""
    place: Place
    output: Value
    """What it is, or what the operation made."""
    inputs: tuple[Value, ...] = ()
    """The numbers that the operation made it of."""
    given: str | None = None
    """What it is that was there before."""
    by_example: bool = False
    """Whether its first axis is that of the examples."""
    constant: bool = False
    """Whether it is infinity as somebody wrote it, as in masks."""
    nan_since: Place | None = None
    """Where infinity became NaN."""


Mask: TypeAlias = np.ndarray | np.bool_
"""For each element of a value a boolean."""

Blame: TypeAlias = dict[Origin, Mask]
"""Which elements of a value are not finite because of which origin. None of the masks is empty."""


def is_nan_first(origin: Origin, mask: Mask, out: Value, values: list[Value], blames: list[Blame]) -> bool:
    """Whether an operation makes NaN of the infinities of an origin."""
    if not np.any(_is_nan(out) & mask):
        return False
    return not any(np.any(_is_nan(v) & b[origin]) for v, b in zip(values, blames, strict=True) if origin in b)


def only(values: list[Value], blames: list[Blame], origin: Origin | None, instead: float = HARMLESS) -> list[Value]:
    """Return the values, in which nothing but what an origin is to blame for is not finite."""

    def one(value: Value, blame: Blame) -> Value:
        bad = not_finite(value)
        if origin is not None and origin in blame:
            bad = bad & ~blame[origin]
        return (
            jnp.asarray(np.where(bad, np.asarray(instead, getattr(value, "dtype", None)), value))
            if np.any(bad)
            else value
        )

    return [one(v, b) for v, b in zip(values, blames, strict=True)]


def picked(blame: Blame, i: int) -> Blame:
    """Return the blame of one row."""
    rows: Blame = {o: np.asarray(mask)[i] for o, mask in blame.items()}
    return {o: mask for o, mask in rows.items() if np.any(mask)}


def stacked(rows: list[Blame]) -> Blame:
    """Return the blame of rows that are stacked."""
    found: Blame = {}
    for origin in {o: None for row in rows for o in row}:
        shape = next(np.shape(row[origin]) for row in rows if origin in row)
        found[origin] = np.stack([row.get(origin, np.zeros(shape, bool)) for row in rows])
    return found


def is_float(value: Value) -> bool:
    return jnp.issubdtype(getattr(value, "dtype", type(value)), jnp.inexact)


# In NumPy: of each new shape, JAX would compile it.
def not_finite(value: Value) -> Mask:
    """Return which elements are NaN or infinite."""
    return ~np.isfinite(np.asarray(value)) if is_float(value) else np.zeros(np.shape(value), bool)


def is_finite(value: Value) -> bool:
    """Whether all elements are."""
    return not np.any(not_finite(value))


def _is_nan(value: Value) -> Mask:
    return np.isnan(np.asarray(value)) if is_float(value) else np.zeros(np.shape(value), bool)
