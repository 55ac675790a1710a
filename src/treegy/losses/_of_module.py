"""Numbers of a loss that are given, or learned: functions of the module find them there."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jax.typing import ArrayLike

from .._checks import check_number
from .._errors import InjectionError
from .._types import PyTree

OfModule: TypeAlias = ArrayLike | Callable[[Any], Any]
"""A number, or a function of the module that returns it."""


def number_of(name: str, value: OfModule, module: PyTree) -> ArrayLike:
    """Return what is given, or what a function finds in the module.

    **Raises:** [`treegy.InjectionError`][] where there is a function, and no module.
    """
    if not callable(value):
        return value
    if module is None:
        raise InjectionError(f"`{name}` is a function of the module, and there is none: pass `module=`.")
    return value(module)


def check_of_module(name: str, value: PyTree, valid: Callable[[Any], bool], expected: str) -> None:
    """Refuse what is neither a function nor a number in range."""
    if not callable(value):
        check_number(name, value, valid, f"{expected}, or a function of the module")
