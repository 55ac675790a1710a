"""A list of batches, taken for inputs: what those are told for whom that goes wrong."""

import contextlib
from collections.abc import Generator
from typing import Any

import jax

from ._describe import describe, is_arraylike


@contextlib.contextmanager
def batches_explained(name: str, x: Any, y: Any = None) -> Generator[None]:
    """Add a note to an error if `x` looks like a list of batches and there is no `y`.

    No more than a note, since a module may well take a list of pairs.
    """
    try:
        yield
    except Exception as error:
        if y is None and looks_like_batches(x):
            error.add_note(
                f"`{name}` is {describe(x)}. If that is a {type(x).__name__} of batches: it was taken for the inputs "
                "of one data set, as any PyTree of arrays. Pass what gives batches: `iter(batches)`, or for several "
                f"epochs `itertools.cycle(batches)` with `steps_per_epoch={len(x)}`."
            )
        raise


def looks_like_batches(value: Any) -> bool:
    """Whether `value` is a list of tuples of two or three arrays, or PyTrees of them, which each have one length."""
    if type(value) not in (list, tuple) or not value:
        return False
    if not all(type(item) in (list, tuple) and len(item) in (2, 3) for item in value):
        return False
    if len({jax.tree.structure(item) for item in value}) > 1:
        return False
    return all(_is_batch(jax.tree.leaves(item)) for item in value)


def _is_batch(leaves: list[Any]) -> bool:
    return all(is_arraylike(a) and len(a.shape) > 0 for a in leaves) and len({a.shape[0] for a in leaves}) == 1
