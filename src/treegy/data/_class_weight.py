"""`class_weight=`: from what users pass to a table that a loss looks its labels up in."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._describe import describe, is_arraylike, is_traced
from .._errors import DataError
from .._inject import request
from .._objective import named_terms
from .._term import make_term


def as_table(class_weight: Any) -> Any:
    """The weight of each class by its number, NaN where there is none.

    **Raises:** [`treegy.DataError`][] unless it is a dict from integers to numbers, or an array.
    """
    if class_weight is None:
        return None
    if is_arraylike(class_weight) or isinstance(class_weight, list | tuple):
        table = class_weight if isinstance(class_weight, jax.Array) else np.asarray(class_weight)
        if table.ndim != 1 or table.dtype.kind not in "fiub":
            raise DataError(f"`class_weight` is {describe(class_weight)}; one number for each class is expected.")
        return table.astype(np.float32)
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise DataError(
            f"`class_weight` is {describe(class_weight)}; expected is a dict {{class: weight}}, or an array."
        )
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or label < 0:
            raise DataError(f"`class_weight` has the key {label!r}; classes are integers from 0.")
        if not isinstance(weight, int | float | np.number):
            raise DataError(f"`class_weight[{label!r}]` is {describe(weight)}; a number is expected.")
    table = np.full(max(class_weight) + 1, np.nan, np.float32)
    for label, weight in class_weight.items():
        table[label] = weight
    return table


def check_labels(loss: Any, y: Any, table: Any) -> None:
    """Raise if a loss reads a label that `class_weight` has no weight for, as far as labels can be looked at."""
    if table is None:
        return
    asked = [request(make_term("loss", thing, name).fn) for name, thing in named_terms(loss, None)[0]]
    if asked and not any("y_true" in wanted or "class_weight" in wanted for wanted in asked):
        raise DataError("`class_weight` is given, and would be ignored: no loss asks for `y_true`.")
    if y is None or is_traced((y, table)):
        return
    known = np.flatnonzero(~np.isnan(np.asarray(table)))
    for name, thing in named_terms(loss, None)[0]:
        term = make_term("loss", thing, name)
        if "y_true" not in request(term.fn):
            continue
        labels = y
        for argument, place in term.on:
            labels = place(y, "y") if argument == "y_true" else labels
        if not is_arraylike(labels):
            continue  # the step will explain that it wants one array
        labels = np.asarray(labels)
        if labels.dtype.kind == "f" and not np.all(labels == np.floor(labels)):
            raise DataError(
                f"`class_weight` needs labels that are classes, integers from 0 or one-hot, and `y` is "
                f"{describe(labels)} with values such as {labels[labels != np.floor(labels)][0]}."
            )
        missing = np.setdiff1d(_as_classes(labels), known)
        if missing.size:
            raise DataError(
                f"`class_weight` has no weight for class {missing[0]}, which occurs in `y`; there are weights for "
                f"{', '.join(map(str, known[:10]))}{', ...' if known.size > 10 else ''}."
            )


def _as_classes(labels: Any) -> Any:
    if labels.ndim > 1 and labels.shape[-1] > 1:
        rows = labels.reshape(-1, labels.shape[-1])
        if np.all((rows == 0) | (rows == 1)) and np.all(rows.sum(-1) == 1):
            return np.unique(rows.argmax(-1))
    return np.unique(labels)
