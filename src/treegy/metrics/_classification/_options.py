"""Options that are one of a few words."""

from typing import Generic, TypeVar

from ..._describe import describe

T = TypeVar("T")


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
