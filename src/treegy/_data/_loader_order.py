"""In which order loaders of other libraries give their data: how they are told of it, and what would be repeated."""

import importlib
import multiprocessing
import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from .._describe import describe, is_iterator
from .._warn import warn

_HOLDERS = ("sampler", "batch_sampler", "dataset")


def _parts(data: object) -> Iterator[Any]:
    """Yield the loader, its samplers and its data set: whatever of it has a say in the order."""
    waiting, seen = [data], set[int]()
    while waiting:
        part = waiting.pop(0)
        if part is None or id(part) in seen or is_iterator(part):
            continue
        seen.add(id(part))
        yield part
        if _is_of_torch(data):
            waiting += [getattr(part, name, None) for name in _HOLDERS]


def set_epoch(data: object, epoch: int) -> None:
    """Tell the data which epoch begins, where it has a `set_epoch`, as PyTorch's and Hugging Face's samplers have."""
    for part in _parts(data):
        tell = getattr(part, "set_epoch", None)
        if callable(tell):
            tell(epoch)


def order_of(data: object) -> list[Any] | None:
    """Return what the order of the next pass of a PyTorch loader follows from: the states of its generators."""
    found = _generators(data)
    return [np.asarray(generator.get_state()) for generator in found] or None


def set_order(data: Any, order: list[Any] | None, passes: int) -> bool:
    """Give the next pass the order that `order_of` returned in an earlier process. Returns whether it could.

    **Arguments:**

    - `passes`: how many passes there were before it.
    """
    generators = _generators(data)
    if not order or len(order) != len(generators):
        return False
    torch = importlib.import_module("torch")
    if passes and getattr(data, "persistent_workers", False) and data.num_workers:
        # Workers that are there already draw one number less from the generator.
        iter(data)

    for generator, state in zip(generators, order, strict=True):
        generator.set_state(torch.from_numpy(np.array(state, np.uint8)))
    return True


def unresumable_order(data: object, iterator: Any) -> str | None:
    """Say why another process can't be given the same order, as far as that can be seen; `None` if it may."""
    if _is_of_torch(data) and _draws_globally(data):
        return (
            "whose shuffling follows from PyTorch's global state, which isn't backed up: give it a generator, "
            "`DataLoader(..., generator=torch.Generator().manual_seed(0))`"
        )
    get_state = getattr(iterator, "get_state", None)
    state = get_state() if callable(get_state) else None
    found = re.search(r"<\S{1,200} object at 0x[0-9a-f]+>", _text(state)) if state is not None else None
    if found is not None:
        return (
            f"whose state holds the `repr` of an object, `{found[0]}`, which is another one in each process: give its "
            "class a `__repr__` that says what it holds"
        )
    return None


def warn_of_forked_workers(data: Any, name: str) -> None:
    """Warn of a loader of PyTorch's that forks its workers, where JAX has threads."""
    if not _is_of_torch(data) or not getattr(data, "num_workers", 0):
        return
    context = getattr(data, "multiprocessing_context", None)
    method = multiprocessing.get_start_method() if context is None else context.get_start_method()
    if method != "fork":
        return
    warn(
        f"`{name}` is {describe(data)}, whose {data.num_workers} workers are forked: a data set that uses JAX hangs "
        'there, as JAX has threads. Pass `multiprocessing_context="spawn"`, and `persistent_workers=True`, so that '
        "they are started once and not for every epoch."
    )


def _is_of_torch(data: object) -> bool:
    return any(cls.__module__.startswith("torch.utils.data") for cls in type(data).__mro__)


def _generators(data: object) -> list[Any]:
    if not _is_of_torch(data):
        return []
    found = [getattr(part, "generator", None) for part in _parts(data)]
    found = [g for g in found if hasattr(g, "get_state") and hasattr(g, "set_state")]
    return list({id(g): g for g in found}.values())


def _draws_globally(data: object) -> bool:
    """Whether a sampler draws at random and has no generator of its own."""
    draws = ("RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler")
    return any(type(part).__name__ in draws and getattr(part, "generator", None) is None for part in _parts(data))


def _text(state: Any) -> str:
    if isinstance(state, bytes):
        return state.decode(errors="replace")
    return " ".join(str(leaf) for leaf in jax.tree.leaves(state))
