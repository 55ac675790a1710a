"""Inputs that a module doesn't ask for, and that are called nearly as an argument without a value."""

from .._describe import did_you_mean
from .._injection._inject import Request
from .._types import PyTree, Values
from .._warn import warn


def tell_if_misspelt(who: str, wanted: Request, x: PyTree, taken: Values) -> None:
    """Warn of such inputs.

    **Arguments:**

    - `who`: the module, as messages call it.
    - `wanted`: what it asks for.
    - `x`: the inputs; only those of a dict have names.
    - `taken`: what it gets.
    """
    unset = [name for name in wanted.names if name not in taken]
    for key in x if isinstance(x, dict) else ():
        hint = did_you_mean(key, unset) if isinstance(key, str) and key not in wanted.names else ""
        if hint:
            warn(f"{who} doesn't ask for `x[{key!r}]`, and nothing is given for an argument.{hint}")
