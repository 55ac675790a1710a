"""Whether all processes have the same: a script that runs in each of them gives them what is to be the same."""

import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._describe import array_name, is_key
from .._errors import ProcessError
from .._spread import is_spread
from .._types import PyTree
from ._exchange import exchanged
from ._processes import is_shared, processes_of
from ._strategy import Strategy

# Of so many examples of an array the numbers are compared.
_EXAMPLES = 64


def check_alike(strategy: Strategy | None, about: str, here: Mapping[str, Any], mend: str) -> None:
    """Compare values, or the marks of arrays, with those of the other processes.

    **Arguments:**

    - `here`: by the names that users have for them.
    - `mend`: what to do if they differ.

    **Raises:** [`treegy.ProcessError`][] that names the first that differs, and the process.
    """
    if not is_shared(strategy):
        return
    told = exchanged(strategy, about, dict(here))
    first = processes_of(strategy)[0]
    for process, there in zip(processes_of(strategy), told, strict=True):
        for name in {**told[0], **there}:
            a, b = told[0].get(name), there.get(name)
            if a != b:
                raise ProcessError(f"{about}: {_told(name, a, b, first, process)}. {mend}")


def mark(array: PyTree) -> list[Any]:
    """Return how an array is known: its shape, its dtype, and a checksum of some of its numbers."""
    name = array_name(array)
    if is_spread(array):
        return [name, 0]
    if isinstance(array, jax.Array) and is_key(array):
        array = jax.random.key_data(array)
    if not array.shape or array.shape[0] <= _EXAMPLES:
        return [name, _checksum(array[()] if isinstance(array, np.ndarray | jax.Array) else array[:])]
    some = np.unique(np.linspace(0, array.shape[0] - 1, _EXAMPLES).astype(np.int64))
    return [name, _checksum(array[some])]


def whole_mark(array: PyTree) -> list[Any]:
    """Return how an array is known, with a checksum of all of its numbers."""
    words = jax.random.key_data(array) if isinstance(array, jax.Array) and is_key(array) else array
    return [array_name(array), _checksum(words)]


def _checksum(array: PyTree) -> int:
    return zlib.crc32(np.ascontiguousarray(np.asarray(array)).reshape(-1).view(np.uint8).data)


def _told(name: str, a: Any, b: Any, first: int, process: int) -> str:
    if isinstance(a, list) and isinstance(b, list):
        if a[0] == b[0]:
            return f"{name} holds other numbers in process {process} than in process {first}"
        a, b = a[0], b[0]
    return f"{name} is {b} in process {process}, and {a} in process {first}"
