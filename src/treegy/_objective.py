"""A nest of losses and metrics -> the total, the logs, and which value each of them reads."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._accumulator import Accumulator, Mean, Total, lined_up, unique
from ._describe import array_name, describe, is_arraylike
from ._errors import ContractError
from ._inject import request
from ._term import Batch, Term, default_name, make_term, parts, placed, reads, reducer, scaled, seen, weighted

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
    losses = [Named(_unique(n, taken), thing) for n, thing in _flat("loss", loss, "")]
    return losses, [Named(_unique(n, taken), thing) for n, thing in _flat("metric", metrics, "")]


def in_order(nest: Any) -> Any:
    """A nest whose dicts are ordered ones: jax sorts the keys of plain dicts, and logs come in the user's order."""
    if isinstance(nest, Mapping):
        return OrderedDict((k, in_order(v)) for k, v in nest.items())
    return [in_order(v) for v in nest] if isinstance(nest, list) else nest


def check_terms(kind: str, argument: str, nest: Any) -> None:
    """Raise for what can be neither a loss nor a metric, naming the argument as the user spelled it."""
    if nest is None:
        return
    for where, thing in _items(nest, argument):
        such = "losses" if kind == "loss" else "metrics"
        expected = f"expected are {such} such as `tg.{such}.MeanSquaredError()`, functions, and lists or dicts of these"
        if isinstance(thing, str):
            raise TypeError(f"`{where}` is the string {thing!r}; {expected}.")
        if isinstance(thing, type):
            raise TypeError(f"`{where}` is the class `{thing.__name__}`; make an instance of it: `{thing.__name__}()`.")
        if thing is None or not (callable(thing) or hasattr(thing, "_function")):
            raise TypeError(f"`{where}` is {describe(thing)}; {expected}.")
        if getattr(thing, "reduction", None) == "none":
            raise ValueError(
                f'`{where}` has `reduction="none"`, which gives no number to train on. Inside a model use '
                '"sum_over_batch_size", "weighted_mean" or "sum".'
            )


def evaluate(loss: Any, metrics: Any, batch: Batch) -> tuple[Any, dict[str, Accumulator]]:
    """The loss of one batch, and the accumulators of everything that is logged.

    **Arguments:**

    - `loss`, `metrics`: nests of losses and metrics.
    - `batch`: the values there are.

    **Returns:**

    `(total, logs)`. The total is $\\sum_k w_k \\cdot \\text{reduced}_k$, 0 without losses; in the logs it is `loss`,
    if there are losses, followed by its parts as they enter it, and the metrics.
    """
    losses, others = named_terms(loss, metrics)
    entering: dict[str, Accumulator] = {}
    for i, (name, thing) in enumerate(losses):
        term = make_term("loss", thing, name)
        term, own = _with_class_weight(term, batch)
        with jax.named_scope(f"loss {name}"):
            found = parts(term, _with_key(own, i), reducer(getattr(thing, "reduction", "sum_over_batch_size")))
        weight = getattr(thing, "weight", 1.0)
        _add(entering, name, {k: scaled(v, weight) for k, v in found.items()})
    logs: dict[str, Accumulator] = OrderedDict()
    if entering:
        logs[TOTAL] = Total(entering.values())
        _add(logs, "", entering)
    known: dict[Any, Accumulator] = {}
    for i, (name, thing) in enumerate(others):
        term = make_term("metric", thing, name)
        what = _accumulates(thing, term, batch)
        with jax.named_scope(f"metric {name}"):
            if what in known:
                found = {"": thing._figure(known[what])}
            else:
                found = parts(term, _with_key(batch, len(losses) + i), Mean.of)
        if what is not None:
            known[what] = _accumulated(found[""])
        _add(logs, name, found)
    total = logs[TOTAL].compute() if entering else jnp.zeros(())
    return total, logs


def _flat(kind: str, nest: Any, prefix: str) -> list[tuple[str, Any]]:
    if nest is None:
        return []
    if isinstance(nest, Mapping):
        return [found for k, v in nest.items() for found in _flat(kind, v, f"{prefix}{k}/")]
    if isinstance(nest, list | tuple):
        return [found for v in nest for found in _flat(kind, v, prefix)]
    return [(prefix + default_name(kind, nest), nest)]


def _items(nest: Any, where: str) -> list[tuple[str, Any]]:
    if isinstance(nest, Mapping):
        return [found for k, v in nest.items() for found in _items(v, f"{where}[{k!r}]")]
    if isinstance(nest, list | tuple):
        return [found for i, v in enumerate(nest) for found in _items(v, f"{where}[{i}]")]
    return [(where, nest)]


def _unique(name: str, taken: set[str]) -> str:
    found = unique(name, taken)
    taken.add(found)
    return found


def _add(logs: dict[str, Accumulator], name: str, found: Mapping[str, Accumulator]) -> None:
    """Add the parts of one term to the logs; one of their names may be that of another term."""
    taken = set(logs)
    for part, accumulator in found.items():
        logs[_unique("/".join(p for p in (name, part) if p), taken)] = accumulator


def _accumulates(metric: Any, term: Term, batch: Batch) -> Any:
    """What a metric accumulates, equal for those that accumulate the same; None if that is its own.

    A metric may say so by two methods: `_accumulates(batch)` of the batch as it sees it, and `_figure(accumulated)`,
    which makes its accumulator of what another has accumulated.
    """
    what = metric._accumulates(seen(term, batch)) if hasattr(metric, "_accumulates") else None
    try:
        hash(what)
    except TypeError:  # an option that is an array, and arrays can't be compared under a trace
        return None
    return what


def _accumulated(accumulator: Any) -> Accumulator:
    """What lies under the figures that are made of it."""
    while accumulator.merges_parts and hasattr(accumulator, "part"):
        accumulator = accumulator.part
    return accumulator


def _with_key(batch: Batch, i: int) -> Batch:
    """A batch in which this term finds a key of its own."""
    key = batch.available.get("key")
    if key is None:
        return batch
    return batch._replace(available={**batch.available, "key": jax.random.fold_in(key, i)})


def _with_class_weight(term: Term, batch: Batch) -> tuple[Term, Batch]:
    """A batch whose weights include those of the classes, if the loss reads labels; and the loss that reads them."""
    table = batch.available.get("class_weight")
    if table is None or "y_true" not in request(term.fn) or batch.available.get("y_true") is None:
        return term, batch
    weight = class_weights(term, batch, table)
    given = placed(term, "sample_weight", batch.sample_weight)
    if given is not None:
        weight = weight * lined_up(jnp.asarray(given), weight, "sample_weight").astype(weight.dtype)
    return weighted(term, batch, weight)


def class_labels(term: Term, batch: Batch) -> Any:
    """The integer labels that class weights are looked up for: integers as they are, or the argmax of one-hot ones."""
    read = reads(term, batch)
    labels: Any = read["y_true"]
    predictions: Any = read.get("y_pred")
    if not is_arraylike(labels):
        raise ContractError(
            f"{term.who} has `y_true` {describe(labels)}, and `class_weight` needs one array of labels: choose it "
            "with `on=`."
        )
    if labels.ndim > 1 and labels.shape[-1] == 1:
        return labels[..., 0]
    # Labels that have as many axes as the predictions have one for the classes too.
    same_axes = is_arraylike(predictions) and labels.ndim == predictions.ndim
    return jnp.argmax(labels, axis=-1) if labels.ndim > 1 and same_axes else labels


def class_weights(term: Term, batch: Batch, table: Any) -> Any:
    """The weight of each label; NaN for a label that has none, so that it can't go unnoticed under a trace."""
    labels, table = class_labels(term, batch), jnp.asarray(table)
    if table.ndim != 1:
        raise ContractError(f"`class_weight` is {array_name(table)}; one weight for each class is expected.")
    index = labels.astype(jnp.int32)
    known = (index >= 0) & (index < table.shape[0]) & (index.astype(labels.dtype) == labels)
    weights = jnp.take(table, jnp.where(known, index, 0), axis=0)
    return jnp.where(known, weights, jnp.full_like(weights, jnp.nan))
