"""What losses and metrics are called in the logs."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from .._converters import text_or_none
from .._injection._inject import written
from .._types import PyTree
from ._accumulator import unique
from ._term import Kind, Term, is_term_object, make_term

TOTAL = "loss"

as_name = text_or_none("name", "what it is called in the logs")


def named_terms(loss: PyTree, metrics: PyTree) -> tuple[list[Term], list[Term]]:
    """Return the losses and the metrics of a model, with their names in the logs.

    Keys of dicts become prefixes, positions in lists nothing. Names are unique over both; `loss` is the total.
    """
    taken = {TOTAL}
    losses = [make_term("loss", thing, unique_in(n, taken)) for n, thing in _flat("loss", loss, "")]
    return losses, [make_term("metric", thing, unique_in(n, taken)) for n, thing in _flat("metric", metrics, "")]


def lone_loss(loss: PyTree) -> str | None:
    """Return the name of a model's loss if it has one only, which is the total then if nothing else is added."""
    names = [name for name, _ in _flat("loss", loss, "")]
    return unique_in(names[0], {TOTAL}) if len(names) == 1 else None


def _flat(kind: Kind, nest: PyTree, prefix: str) -> list[tuple[str, Any]]:
    if nest is None:
        return []
    if isinstance(nest, Mapping):
        return [found for k, v in nest.items() for found in _flat(kind, v, f"{prefix}{k}/")]
    if isinstance(nest, list | tuple):
        return [found for v in nest for found in _flat(kind, v, prefix)]
    return [(prefix + default_name(kind, nest), nest)]


def unique_in(name: str, taken: set[str]) -> str:
    found = unique(name, taken)
    taken.add(found)
    return found


def default_name(kind: Kind, thing: PyTree) -> str:
    """Return the name of a loss or metric in the logs: what it was given, else made of the function's or class's name.

    `MSE` becomes `mse`, `MyMSELoss` `my_mse_loss`, `F1Score` `f1_score`. A loss ends in `_loss`, unless "loss" occurs
    in its name already.
    """
    name = getattr(thing, "name", None) if is_term_object(thing) else None
    if name is None:
        name = _class_name(thing) if is_term_object(thing) else _function_name(thing)
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
        name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return f"{name}_loss" if kind == "loss" and "loss" not in name else name


def _class_name(thing: PyTree) -> str:
    # Wrappers are called after what they wrap.
    return thing._wrapped_name() if hasattr(thing, "_wrapped_name") else type(thing).__name__


def _function_name(fn: PyTree) -> str:
    name = getattr(fn, "__name__", None) or getattr(written(fn), "__name__", type(fn).__name__)
    if inspect.isfunction(written(fn)) and name == "__call__":
        name = type(fn).__name__
    return "lambda" if name == "<lambda>" else name
