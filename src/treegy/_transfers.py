"""What treegy moves to the device of its own accord, under `jax.transfer_guard`."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import numpy as np

from ._describe import is_arraylike, is_iterator
from ._types import PyTree

P = ParamSpec("P")
R = TypeVar("R")


def own_transfers(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method move its counters and constants to the device where all data that it is given is there already.

    `jax.transfer_guard("disallow")` forbids what wasn't asked for. The data is meant, and not the number of a step.
    Where some of the data is on the host, the guard stays as it is.
    """

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not _are_on_device((args[1:], kwargs)):
            return method(*args, **kwargs)
        with jax.transfer_guard("allow"):
            return method(*args, **kwargs)

    return guarded


def _are_on_device(given: PyTree) -> bool:
    try:
        leaves = jax.tree.leaves(given, is_leaf=is_iterator)
    except ValueError:  # dict keys that jax can't sort: whoever reads them says so
        return False
    arrays = [leaf for leaf in leaves if is_arraylike(leaf) and not isinstance(leaf, np.generic)]
    return bool(arrays) and all(isinstance(leaf, jax.Array) for leaf in arrays)
