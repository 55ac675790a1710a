"""Lists that were passed as data and taken for something else: explains the errors that follow."""

import contextlib
from collections.abc import Generator
from typing import Any

import jax
import numpy as np

from .._describe import describe, is_arraylike, listed
from .._errors import InjectionError
from .._types import PyTree
from ._batch import Batch


@contextlib.contextmanager
def batches_explained(name: str, x: PyTree, y: PyTree = None) -> Generator[None]:
    """Add a note to an error if `x` looks like a list of batches and there is no `y`, or like a list of rows.

    No more than a note, since a module may well take a list of arrays.
    """
    try:
        yield
    except Exception as error:
        for what, value in ((name, x), (_y_name(name), y)):
            if looks_like_rows(value):
                error.add_note(
                    f"`{what}` is a list of {len(value)} arrays {describe(value[0])}, which was taken for that many "
                    f"arrays with an axis of examples each. If they are the examples: `np.stack({what})`."
                )
        if y is None and looks_like_pairs(x):
            error.add_note(
                f"`{name}` is a {type(x).__name__} of {len(x)} pairs of an array and a number, which was taken for "
                f"that many inputs. If they are examples and labels: `x, y = map(np.stack, zip(*{name}))`."
            )
        if y is None and looks_like_batches(x):
            error.add_note(
                f"`{name}` is {describe(x)}. If that is a {type(x).__name__} of batches: it was taken for the inputs "
                "of one data set, as any PyTree of arrays. Pass what gives batches: `iter(batches)`, or for several "
                f"epochs `itertools.cycle(batches)` with `steps_per_epoch={len(x)}`."
            )
        raise


@contextlib.contextmanager
def dicts_explained(first: Batch) -> Generator[None]:
    """Add a note to the error that a value is missing, if batches are dicts, which may hold the labels as well."""
    try:
        yield
    except InjectionError as error:
        if isinstance(first.x, dict) and first.y_true is None and len(first.x) > 1:
            error.add_note(
                f"The batches are dicts of {listed(repr(name) for name in first.x)}, which were taken for the inputs. "
                "If one of these is the labels: give pairs `(x, y)`, such as `(inputs, labels)`."
            )
        raise


def _y_name(x: str) -> str:
    return f"{x.removesuffix('x')}y"


def looks_like_rows(value: object) -> bool:
    """Whether `value` is a list of several arrays of one shape and dtype, as examples are before they are stacked."""
    if type(value) is not list or len(value) < 2 or not all(is_arraylike(item) for item in value):
        return False
    return len({(tuple(item.shape), str(item.dtype)) for item in value}) == 1 and len(value[0].shape) > 0


def looks_like_pairs(value: Any) -> bool:
    """Whether `value` is a list of examples with their labels, as indexing a data set gives them one by one."""
    if type(value) not in (list, tuple) or len(value) < 2:
        return False
    return all(
        type(pair) in (list, tuple) and len(pair) == 2 and is_arraylike(pair[0]) and np.ndim(pair[1]) == 0
        for pair in value
    )


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
