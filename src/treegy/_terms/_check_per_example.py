"""Checking that what a loss or metric returns has a value for each example, and the hint if it hasn't."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from .._describe import array_name, describe, is_arraylike
from .._errors import ContractError
from .._types import PyTree
from .._warn import warn
from ._outcome import outcome, pieces
from ._read import Reading
from ._term import OF_EXAMPLES, Context, Term
from ._weights import Masked


def elements_hint(reading: Reading, weight: PyTree) -> str:
    """Return how weights of single elements are used, if these may be some."""
    labels: PyTree = reading.arguments.get("y_true")
    if not is_arraylike(labels) or weight is None or labels.shape != weight.shape:
        return ""
    return (
        " Weights of single elements reach losses and metrics that average elements (`elementwise = True`, as most of "
        "treegy's do); others can return `tg.Masked` values."
    )


def check_is_per_example(term: Term, part: str, who: str, values: Array, context: Context, reading: Reading) -> None:
    """Raise unless the values have the batch as their first axis; warn where another one is the batch as well."""
    size = context.size
    read = jax.tree.leaves(reading.examples())
    elsewhere = {n for a in read if is_arraylike(a) for n in a.shape[1:]} | set(values.shape[1:])
    if values.shape[0] == size and size not in elsewhere:
        return
    message = (
        f"{who} returned values {array_name(values)} for {size} examples, and one value per example is expected, with "
        "the batch as the first axis. Average over the other axes (`axis=-1`), not over the batch (`axis=0`)."
    )
    if values.shape[0] % size:
        raise ContractError(message)
    # Lengths that happen to be equal are told apart by a batch of another size; some functions take even ones alone.
    larger, other = size + 1, _shape_at(term, part, context, reading, size + 1)
    if isinstance(other, Exception):
        larger, other = 2 * size, _shape_at(term, part, context, reading, 2 * size)
    if isinstance(other, Exception):
        if _is_about_shapes(other):
            warn(
                f"{who} returned values {array_name(values)}, and fails for batches of another size than {size}: is "
                f"{_shapes_text(reading)} broadcast along the wrong axis, which is as long? Its metric value is "
                "that of such a batch alone."
            )
        return
    if len(other) != values.ndim:
        return
    if values.shape[0] // size * larger != other[0]:
        raise ContractError(message)
    if any(a != b for a, b in zip(values.shape[1:], other[1:], strict=True)):
        warn(
            f"{who} returned values {array_name(values)}, which compare each of {size} examples with each: is "
            f"{_shapes_text(reading)} broadcast? Give both the same shape. If pairs are meant, its metric value "
            "depends on how the examples are cut into batches."
        )


def _shapes_text(reading: Reading) -> str:
    shown = [f"`{name}` {describe(value)}" for name, value in reading.examples().items() if value is not None]
    return " against ".join(shown) or "`x`"


def _is_about_shapes(error: Exception) -> bool:
    """Whether an error isn't due to values that aren't there while shapes are found out."""
    return isinstance(error, TypeError | ValueError) and not isinstance(error, jax.errors.JAXTypeError)


def _shape_at(term: Term, part: str, context: Context, reading: Reading, size: int) -> tuple[int, ...] | Exception:
    """Return the shape of the values for a batch of another size; the error if the function doesn't take one."""

    def resized(leaf: PyTree) -> PyTree:
        if not is_arraylike(leaf) or leaf.shape[:1] != (context.size,):
            return leaf
        return jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)

    names = [name for name in (*OF_EXAMPLES, "sample_weight") if name in reading.arguments]
    examples = jax.tree.map(resized, ({n: reading.arguments[n] for n in names}, reading.weight))
    axes = {n: axis._replace(length=size) if n == "batch" else axis for n, axis in (context.vocabulary or {}).items()}

    def values(examples: tuple[dict[str, Any], PyTree]) -> Any:
        arguments, weight = examples
        resized = context._replace(size=size, vocabulary=axes)
        found = pieces(outcome(term, resized, Reading({**reading.arguments, **arguments}, weight)).result)[part]
        return found.values if isinstance(found, Masked) else found

    try:
        return tuple(eqx.filter_eval_shape(values, examples).shape)
    except Exception as error:  # whatever a function raises that is written for batches of one size
        return error
