"""How models and states are shown: the `repr` of what holds large trees fits on a screen.

Equinox lays out what a module prints with `wadler_lindig`, which asks `__pdoc__` how an object wants to be shown.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax

from ._describe import is_arraylike
from ._types import PyTree

_LINES = 6  # a tree of arrays that takes more is shown by its size
_WIDTH = 80


def called(name: str, parts: Iterable[tuple[str, PyTree]], **options: Any) -> Any:
    """Return the document of `name(part, other=part)`, in which a part without a name stands alone.

    - `**options`: what `__pdoc__` was called with.
    """
    import wadler_lindig as wl  # asks for documents: it is there whenever one is made

    docs = [wl.TextDoc(f"{word}=" if word else "") + _short(value, **options) for word, value in parts]
    return wl.bracketed(wl.TextDoc(f"{name}("), docs, wl.comma, wl.TextDoc(")"), options["indent"])


def set_fields(module: Any, leave_out: Iterable[str] = ()) -> dict[str, PyTree]:
    """Return the fields of a dataclass that aren't what they are by default."""
    fields = [field for field in dataclasses.fields(module) if field.repr and field.name not in leave_out]
    values = {field.name: getattr(module, field.name) for field in fields}
    return {field.name: values[field.name] for field in fields if values[field.name] is not field.default}


def _short(value: PyTree, **options: Any) -> Any:
    import wadler_lindig as wl

    doc = wl.pdoc(value, **options)
    if wl.pformat(doc, width=_WIDTH).count("\n") < _LINES:
        return doc
    arrays = {id(leaf): leaf for leaf in jax.tree.leaves(value) if is_arraylike(leaf)}.values()
    if not arrays and not isinstance(value, eqx.Module):
        return doc  # what somebody wrote: a list of metrics, a chain of optimizers
    if not arrays:
        return wl.TextDoc(f"{type(value).__name__}(no arrays)")
    numbers = sum(math.prod(array.shape) for array in arrays)
    return wl.TextDoc(f"{type(value).__name__}({numbers:,} numbers in {len(arrays)} arrays)")
