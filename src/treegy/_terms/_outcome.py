"""Calling a loss or metric with what it reads."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._describe import is_arraylike
from .._errors import ContractError
from .._injection._contract import check
from .._types import PyTree, Values
from ._read import Reading, arguments_of
from ._term import Context, Term


class Outcome(NamedTuple):
    """What a term's function returned."""

    result: PyTree
    elements: int | None = None
    """How many elements the mean of an example is of, where `result` has a value for each of them; else it has the
    values that the function averages itself."""


def outcome(term: Term, context: Context, reading: Reading) -> Outcome:
    """Call a term's function, its arguments and result checked against their annotations."""
    asking, arguments = term.asking, arguments_of(term, reading)
    vocabulary = context.vocabulary or {}
    if term.local_axes:
        vocabulary = {"batch": vocabulary["batch"]} if "batch" in vocabulary else {}
    if asking.fn is not None:
        try:
            check(asking.fn, arguments, who=term.who, vocabulary=vocabulary)
        except ContractError as e:
            raise ContractError(f"{e}{_outputs_hint(term, arguments, str(e))}") from None
    elements = weighted_elements(term, arguments, reading.weight)
    called = arguments if elements is None else by_element(arguments)
    try:
        result = asking.run(Context(called, context.size, called.get("sample_weight"), vocabulary))
    except ContractError as e:
        # Raised by the mathematics, which doesn't know who called it.
        raise ContractError(f"{term.who}: {e}") from None
    if elements is None and asking.fn is not None and asking.returns_result:
        check(asking.fn, {**arguments, "return": result}, who=term.who, vocabulary=vocabulary)
    return Outcome(result, elements)


def _outputs_hint(term: Term, arguments: Values, message: str) -> str:
    """Return how one of several outputs is selected, if a term that takes an array got all of them."""
    for name in ("y_true", "y_pred"):
        value = arguments.get(name)
        several = isinstance(value, Mapping | tuple | list) and len(value) > 0 and name not in dict(term.on)
        if several and f"`{name}` is " in message and message.endswith("and an array is expected."):
            group = term.name.rpartition("/")[0]
            keys: list[Any] = list(value) if isinstance(value, Mapping) else list(range(len(value or ())))
            if group in keys:
                return f" Say so with `on={group!r}`: the keys of `loss=` and `metrics=` are names only."
            shown = " or ".join(f"`on={key!r}`" for key in keys[:3])
            return f" Say which part it is about: {shown}."
    return ""


def weighted_elements(term: Term, arguments: Values, weight: PyTree) -> int | None:
    """Return how many elements an example's mean is of, if there is a weight for each of them, else `None`."""
    labels: PyTree = arguments.get("y_true")
    if not term.elementwise or not is_arraylike(labels) or not is_arraylike(weight):
        return None
    return labels.shape[-1] if len(labels.shape) > 1 and tuple(weight.shape) == tuple(labels.shape) else None


def by_element(arguments: Values) -> dict[str, Any]:
    """Return arguments in which each element stands along a last axis of length 1, which its mean leaves as it is."""
    axis = len(arguments["y_true"].shape)
    return {
        name: jax.tree.map(lambda a: jnp.expand_dims(a, axis), value) if name in ("y_true", "y_pred") else value
        for name, value in arguments.items()
    }


def pieces(result: PyTree) -> dict[str, PyTree]:
    return {str(k): v for k, v in result.items()} if isinstance(result, Mapping) else {"": result}
