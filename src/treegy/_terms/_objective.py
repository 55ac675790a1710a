"""A nest of losses and metrics -> the total, the logs, and which value each of them reads."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._describe import cut, describe
from .._types import PyTree
from ._accumulator import Accumulator, Mean, Total
from ._class_weight import with_class_weight
from ._naming import TOTAL, named_terms, unique_in
from ._part_of_batch import check_adds_up, part_of_batch
from ._read import read, seen
from ._reduce import parts, reducer, scaled
from ._term import Context, Term, is_term_object


def in_order(nest: PyTree) -> PyTree:
    """Make dicts in a nest ordered ones: jax sorts the keys of plain dicts, and logs come in the user's order."""
    if isinstance(nest, Mapping):
        return OrderedDict((k, in_order(v)) for k, v in nest.items())
    return [in_order(v) for v in nest] if isinstance(nest, list) else nest


def check_terms(kind: str, argument: str, nest: PyTree) -> None:
    """Raise for what can be neither a loss nor a metric, naming the argument as the user spelled it."""
    if nest is None:
        return
    for place, thing in _items(nest, argument):
        where = cut(place, 200)
        such = "losses" if kind == "loss" else "metrics"
        expected = f"expected are {such} such as `tg.{such}.MeanSquaredError()`, functions, and lists or dicts of these"
        if isinstance(thing, str):
            raise TypeError(f"`{where}` is the string {thing!r}; {expected}.")
        if isinstance(thing, type):
            raise TypeError(f"`{where}` is the class `{thing.__name__}`; make an instance of it: `{thing.__name__}()`.")
        if thing is None or not (callable(thing) or is_term_object(thing)):
            raise TypeError(f"`{where}` is {describe(thing)}; {expected}.")
        if getattr(thing, "reduction", None) == "none":
            raise ValueError(
                f'`{where}` has `reduction="none"`, which gives no number to train on. Inside a model use '
                '"sum_over_batch_size", "weighted_mean" or "sum".'
            )
        if kind == "metric" and hasattr(thing, "reduction"):
            for name, default in (("weight", 1.0), ("reduction", "sum_over_batch_size")):
                given = getattr(thing, name)
                if not (isinstance(given, int | float | str) and given == default):
                    raise ValueError(
                        f"`{where}` is a loss with `{name}={given if isinstance(given, str) else describe(given)}`, "
                        "which a metric doesn't have: the values of a loss among the metrics are averaged. Leave it "
                        "out."
                    )


def evaluate(loss: PyTree, metrics: PyTree, context: Context) -> tuple[Array, dict[str, Accumulator]]:
    """Return the loss of one batch, and the accumulators of everything that is logged.

    **Arguments:**

    - `loss`, `metrics`: nests of losses and metrics.
    - `context`: the values there are.

    **Returns:**

    `(total, logs)`. The total is $\\sum_k w_k \\cdot \\text{reduced}_k$, 0 without losses; in the logs it is `loss`,
    if there are losses, followed by its parts as they enter it, and the metrics.
    """
    losses, others = named_terms(loss, metrics)
    entering: dict[str, Accumulator] = {}
    for i, term in enumerate(losses):
        check_adds_up(term)
        own = _with_key(context, i)
        with jax.named_scope(f"loss {term.name}"):
            reading = with_class_weight(term, own, read(term, own))
            found = parts(term, own, reducer(term.reduction), reading)
            _add(entering, term.name, {k: scaled(term, v, own) for k, v in found.items()})
    logs: dict[str, Accumulator] = OrderedDict()
    if entering:
        logs[TOTAL] = Total(entering.values())
        _add(logs, "", entering)
    known: dict[Hashable, Accumulator] = {}
    for i, term in enumerate(others):
        what = _accumulates(term, context)
        with jax.named_scope(f"metric {term.name}"):
            if what in known:
                found = {"": term.thing._metric_value(known[what])}
            else:
                found = parts(term, _with_key(context, len(losses) + i), Mean.of)
        if what is not None:
            known[what] = _accumulated(found[""])
        _add(logs, term.name, found)
    total = logs[TOTAL].compute() if entering else jnp.zeros(())
    part = part_of_batch()
    if entering and part is not None:
        part.totals.append((total, logs[TOTAL]))
    return total, logs


def _items(nest: PyTree, where: str) -> list[tuple[str, Any]]:
    if isinstance(nest, Mapping):
        return [found for k, v in nest.items() for found in _items(v, f"{where}[{k!r}]")]
    if isinstance(nest, list | tuple):
        return [found for i, v in enumerate(nest) for found in _items(v, f"{where}[{i}]")]
    return [(where, nest)]


def _add(logs: dict[str, Accumulator], name: str, found: Mapping[str, Accumulator]) -> None:
    """Add the parts of one term to the logs; one of their names may be that of another term."""
    taken = set(logs)
    for part, accumulator in found.items():
        logs[unique_in("/".join(p for p in (name, part) if p), taken)] = accumulator


def _accumulates(term: Term, context: Context) -> Hashable:
    """Return what a metric accumulates, equal for those that accumulate the same; None if that is its own.

    A metric may say so by two methods: `_accumulates(context)` of the batch as it sees it, and
    `_metric_value(accumulated)`, which makes its accumulator of what another has accumulated.
    """
    metric = term.thing
    what = metric._accumulates(seen(term, context)) if hasattr(metric, "_accumulates") else None
    try:
        hash(what)
    except TypeError:  # an option that is an array, and arrays can't be compared under a trace
        return None
    return what


def _accumulated(accumulator: PyTree) -> Accumulator:
    """Return what lies under the metric values that are made of it."""
    while accumulator.merges_parts and hasattr(accumulator, "part"):
        accumulator = accumulator.part
    return accumulator


def _with_key(context: Context, i: int) -> Context:
    """Return a batch in which this term finds a key of its own."""
    key = context.available.get("key")
    if key is None:
        return context
    return context._replace(available={**context.available, "key": jax.random.fold_in(key, i)})
