"""What losses and metrics are called in the logs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ._accumulator import unique
from ._term import default_name

TOTAL = "loss"


class Named(NamedTuple):
    """A loss or metric of a model, and what it is called in the logs."""

    name: str
    thing: Any


def named_terms(loss: Any, metrics: Any) -> tuple[list[Named], list[Named]]:
    """The losses and the metrics of a model, by their names in the logs.

    Keys of dicts become prefixes, positions in lists nothing. Names are unique over both; `loss` is the total.
    """
    taken = {TOTAL}
    losses = [Named(unique_in(n, taken), thing) for n, thing in _flat("loss", loss, "")]
    return losses, [Named(unique_in(n, taken), thing) for n, thing in _flat("metric", metrics, "")]


def _flat(kind: str, nest: Any, prefix: str) -> list[tuple[str, Any]]:
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
