"""`class_weight=`: from what users pass to the weights of a loss's labels. The one rule for what labels are is here.

Shapes decide, and never the labels' values, so that all batches are read alike: labels whose last axis has length 1, or
that have fewer axes than the predictions, are class indices. Labels of as many axes as the predictions are one-hot;
or, in a loss with `several_labels`, each column is a label of its own.
"""

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._describe import array_name, describe, is_arraylike, is_traced
from .._errors import ContractError, DataError, InjectionError
from .._types import PyTree
from ._naming import named_terms
from ._read import Reading, arguments_of, placed, read
from ._term import Context, Term
from ._weights import lined_up

_INDICES, _COLUMN, _ONE_HOT, _SEVERAL = "indices", "column", "one-hot", "several"


class Labelled(NamedTuple):
    """What was found out about a loss's labels while its step was traced."""

    term: Term
    form: str


# Losses and the forms of their labels, while somebody wants to know them.
_FOUND: ContextVar[list[Labelled] | None] = ContextVar("_FOUND", default=None)


def as_table(class_weight: PyTree, name: str = "class_weight") -> PyTree:
    """Return the weight of each class by its number, NaN where there is none; of several outputs, a nest of these.

    **Raises:** [`treegy.DataError`][] unless it is a dict from integers to numbers, an array, or a dict or list of
    these by output.
    """
    if class_weight is None:
        return None
    if is_arraylike(class_weight):
        return _as_array(class_weight, class_weight, name)
    if isinstance(class_weight, list | tuple):
        if any(_is_table(item) for item in class_weight):
            return type(class_weight)([as_table(v, f"{name}[{i}]") for i, v in enumerate(class_weight)])
        return _as_array(class_weight, np.asarray(class_weight), name)
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise DataError(f"`{name}` is {describe(class_weight)}; expected is a dict {{class: weight}}, or an array.")
    if any(_is_table(weight) for weight in class_weight.values()):
        return {key: as_table(weight, f"{name}[{key!r}]") for key, weight in class_weight.items()}
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or label < 0:
            raise DataError(f"`{name}` has the key {label!r}; classes are integers from 0.")
        if label > _MOST_CLASSES:
            raise DataError(f"`{name}` has the key {label!r}; more than {_MOST_CLASSES} classes are not expected.")
        if not isinstance(weight, int | float | np.number):
            raise DataError(f"`{name}[{label!r}]` is {describe(weight)}; a number is expected.")
    table = np.full(max(class_weight) + 1, np.nan, np.float32)
    for label, weight in class_weight.items():
        table[label] = weight
    return table


# A table has a place for each class up to the largest.
_MOST_CLASSES = 10_000_000


def _is_table(value: PyTree) -> bool:
    return isinstance(value, Mapping | list | tuple) or (is_arraylike(value) and len(value.shape) > 0)


def _as_array(given: object, table: PyTree, name: str) -> Any:
    table = table if isinstance(table, jax.Array) else np.asarray(table)
    if table.ndim != 1 or table.dtype.kind not in "fiub":
        raise DataError(f"`{name}` is {describe(given)}; one number for each class is expected.")
    return table.astype(np.float32)


# Under a trace


def with_class_weight(term: Term, context: Context, reading: Reading) -> Reading:
    """Return what a loss reads, with weights that include those of the classes, if it reads labels.

    A label that has no weight gets NaN, so that it can't go unnoticed where labels can't be looked at.
    """
    tables = context.available.get("class_weight")
    if tables is None or reading.arguments.get("y_true") is None:
        return reading
    table = placed(term, "class_weight", tables)
    if table is None:
        return reading
    _check_table(term, table)
    weight, given = _class_weights(term, reading, jnp.asarray(table)), reading.weight
    if given is not None:
        given = jnp.asarray(given)
        if given.ndim > weight.ndim:
            weight = lined_up(weight, given, "class_weight")
        else:
            given = lined_up(given, weight, "sample_weight")
        # A weight of 0 removes the example, whatever its label is.
        weight = jnp.where(given == 0, jnp.zeros_like(weight), weight) * given.astype(weight.dtype)
    return reading.weighing(term, weight)


def weighed_by_hand(term: Term, context: Context) -> Reading:
    """Return what a loss reads that is called by hand, with `class_weight` as users write it.

    **Raises:** [`treegy.DataError`][] where it isn't that, [`treegy.InjectionError`][] where there are no labels.
    """
    reading = read(term, context)
    given = context.available.get("class_weight")
    if given is None or "class_weight" in term.asking.request:
        return reading
    if reading.arguments.get("y_true") is None:
        raise InjectionError(f"`{term.asking.label}` asks for no `y_true`, whose labels `class_weight` weighs.")
    available = {**context.available, "class_weight": as_table(given)}
    return with_class_weight(term, context._replace(available=available), reading)


def _check_table(term: Term, table: PyTree) -> None:
    if not is_arraylike(table):
        raise ContractError(
            f"{term.who} gets `class_weight` {describe(table)}, and needs the weights of one output: choose them with "
            '`on=`, such as `on="a"` for `class_weight={"a": {0: 1.0, 1: 2.0}}`.'
        )
    if table.ndim != 1:
        raise ContractError(f"`class_weight` is {array_name(table)}; one weight for each class is expected.")


def _class_weights(term: Term, reading: Reading, table: Array) -> Array:
    read = arguments_of(term, reading)
    labels = read["y_true"]
    if not is_arraylike(labels):
        raise ContractError(
            f"{term.who} has `y_true` {describe(labels)}, and `class_weight` needs one array of labels: choose it "
            "with `on=`."
        )
    labels = jnp.asarray(labels)
    form = _form(term, labels, read.get("y_pred"))
    found = _FOUND.get()
    if found is not None:
        found.append(Labelled(term, form))
    if not is_traced((labels, table)):
        # Run eagerly, nothing was traced before.
        _check(term, form, labels, table, reading.weight)
    if form == _SEVERAL:
        columns = jnp.arange(labels.shape[-1])
        return jnp.broadcast_to(_looked_up(table, columns, columns < table.shape[0]), labels.shape)
    if form == _ONE_HOT:
        ones = labels == 1
        valid = jnp.all(ones | (labels == 0), axis=-1) & (jnp.sum(ones, axis=-1) == 1)
        index = jnp.argmax(labels, axis=-1)
        return _looked_up(table, index, valid & (index < table.shape[0]))
    labels = labels[..., 0] if form == _COLUMN else labels
    index = labels.astype(jnp.int32)
    known = (index >= 0) & (index < table.shape[0]) & (index.astype(labels.dtype) == labels)
    weights = _looked_up(table, index, known)
    if term.ignore_class is not None:
        weights = jnp.where(index == term.ignore_class, jnp.ones_like(weights), weights)
    return weights


def _looked_up(table: Array, index: Array, known: Any) -> Array:
    weights = jnp.take(table, jnp.where(known, index, 0), axis=0)
    return jnp.where(known, weights, jnp.full_like(weights, jnp.nan))


def _form(term: Term, labels: Array, predictions: PyTree) -> str:
    """Return what labels are, by their shape and that of the predictions."""
    if labels.ndim > 1 and labels.shape[-1] == 1:
        return _COLUMN
    if labels.ndim < 2 or not is_arraylike(predictions) or labels.ndim != len(predictions.shape):
        return _INDICES
    return _SEVERAL if term.several_labels else _ONE_HOT


# Where labels can be looked at


@contextlib.contextmanager
def noted_labels() -> Generator[list[Labelled]]:
    """Note the losses that class weights reach, and what their labels are, while a step is traced."""
    found: list[Labelled] = []
    token = _FOUND.set(found)
    try:
        yield found
    finally:
        _FOUND.reset(token)


def as_used_table(loss: PyTree, class_weight: PyTree) -> PyTree:
    """Return what `as_table` does.

    **Raises:** [`treegy.DataError`][], also if no loss reads labels, so that class weights would be ignored.
    """
    table = as_table(class_weight)
    if table is None:
        return None
    asked = [term.asking.request for term in named_terms(loss, None)[0]]
    if asked and not any("y_true" in wanted or "class_weight" in wanted for wanted in asked):
        raise DataError("`class_weight` is given, and would be ignored: no loss asks for `y_true`.")
    return table


def label_check(found: list[Labelled], tables: PyTree) -> Callable[[PyTree, PyTree], None]:
    """Return a function of `y` and `sample_weight` that raises for a label without a weight.

    **Arguments:**

    - `found`: the losses and what their labels are, from `noted_labels`.
    - `tables`: what `as_table` returned.
    """
    # Losses that read the same labels in the same way are one to look at.
    several = {(labelled.form, labelled.term.on, labelled.term.ignore_class): labelled for labelled in found}

    def check(y: PyTree, sample_weight: PyTree) -> None:
        for labelled in several.values():
            _check_labels(labelled, y, sample_weight, tables)

    return check


def _check_labels(labelled: Labelled, y: PyTree, sample_weight: PyTree, tables: PyTree) -> None:
    term, form = labelled
    table = placed(term, "class_weight", tables)
    if y is None or table is None:
        return
    anything = dict.fromkeys(term.asking.request.names)
    bound = term.asking.take({**anything, "y_true": placed(term, "y_true", y)}, term.who)
    _check(term, form, bound["y_true"], table, placed(term, "sample_weight", sample_weight))


def _check(term: Term, form: str, y: PyTree, table: PyTree, sample_weight: PyTree) -> None:
    """Raise for a label of one loss that has no weight, or that isn't of this form."""
    labels, known = np.asarray(y), np.flatnonzero(~np.isnan(np.asarray(table)))
    if form == _SEVERAL:
        _check_has(range(labels.shape[-1]), known, "of which `y` has a column")
        return
    labels = labels[_counting(labels, sample_weight)]
    if labels.dtype.kind == "f" and not np.all(labels == np.floor(labels)):
        raise DataError(
            f"`class_weight` needs labels that are classes, integers from 0 or one-hot, and `y` is {describe(y)} with "
            f"values such as {labels[labels != np.floor(labels)][0]}."
        )
    if form == _ONE_HOT:
        rows = labels.reshape(-1, labels.shape[-1])
        wrong = np.flatnonzero(~(np.all((rows == 0) | (rows == 1), axis=-1) & (rows.sum(-1) == 1)))
        if wrong.size:
            row = ", ".join(f"{v:g}" for v in rows[wrong[0]][:8].tolist()) + (", ..." if rows.shape[-1] > 8 else "")
            raise DataError(
                f"`class_weight` needs one class for each label of {term.who}, and `y` has the row [{row}], which is "
                "not one-hot. Where a row has several labels, use a loss of two classes for each, such as "
                "`BinaryCrossentropy`, which weighs them one by one, or pass `sample_weight`."
            )
        classes = np.unique(rows.argmax(-1))
    else:
        classes = np.unique(labels)
    _check_has([c for c in classes.tolist() if c != term.ignore_class], known, "which occurs in `y`")


def _counting(labels: np.ndarray, sample_weight: PyTree) -> np.ndarray | slice:
    """Return which examples have a weight that isn't 0 throughout."""
    if sample_weight is None or not is_arraylike(sample_weight):
        return slice(None)
    weight = np.asarray(sample_weight)
    return np.any(weight != 0, axis=tuple(range(1, weight.ndim))) if len(weight) == len(labels) else slice(None)


def _check_has(classes: Any, known: np.ndarray, what: str) -> None:
    missing = np.setdiff1d(np.asarray(classes), known)
    if missing.size:
        raise DataError(
            f"`class_weight` has no weight for class {missing[0]:g}, {what}; there are weights for "
            f"{', '.join(map(str, known[:10]))}{', ...' if known.size > 10 else ''}."
        )
