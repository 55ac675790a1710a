"""What a loss or metric reads: the values that it asks for, of the part that `on=` selects, and its weights."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from .._describe import did_you_mean, is_arraylike, listed
from .._errors import InjectionError
from .._injection._at import Selection
from .._types import PyTree
from ._term import OF_EXAMPLES, Context, Term
from ._weights import cleared

_ABSENT = {
    "x": "There is no `x`: no inputs were given.",
    "y_true": "There is no `y_true`: no `y` was given.",
    "y_pred": "There is no `y_pred`: nothing was predicted.",
    "key": "There is no `key`: pass one.",
    "module": "There is no `module`: the model has none.",
    "step": "There is no `step`: pass one.",
}


class Reading(NamedTuple):
    """What a term reads in one batch."""

    arguments: dict[str, Any]
    """The values that it asks for, by name."""
    weight: PyTree
    """The weights of the examples; `None` where there are none."""

    def weighing(self, term: Term, weight: PyTree) -> "Reading":
        """Return the same with other weights."""
        # A `call` that names `sample_weight` sees all of it: what it makes an accumulator of isn't weighted afterwards.
        seen = {**self.arguments, "sample_weight": weight} if "sample_weight" in term.asking.request else self.arguments
        return Reading(seen, weight)

    def examples(self) -> dict[str, Any]:
        """Return those of the arguments that are about examples."""
        return {name: self.arguments[name] for name in OF_EXAMPLES if name in self.arguments}


def read(term: Term, context: Context) -> Reading:
    """Return what a term reads in a batch.

    **Raises:** [`treegy.InjectionError`][] for what isn't there.
    """
    _check_on(term)
    arguments = term.asking.take(seen(term, context).available, term.who, _ABSENT)
    return Reading(arguments, placed(term, "sample_weight", context.sample_weight))


def arguments_of(term: Term, reading: Reading) -> dict[str, Any]:
    """Return what a term is called with.

    A loss, which is differentiated, gets no examples that aren't finite where their weight is 0.
    """
    if term.kind != "loss" or not is_arraylike(reading.weight):
        return reading.arguments
    weight = jnp.asarray(reading.weight)
    return {k: cleared(v, weight) if k in OF_EXAMPLES else v for k, v in reading.arguments.items()}


def seen(term: Term, context: Context) -> Context:
    """Return a batch with the parts that `on=` selects of what the term asks for."""
    wanted = term.asking.request
    available = {k: placed(term, k, v) if k in wanted else v for k, v in context.available.items()}
    return context._replace(available=available)


def placed(term: Term, name: str, value: PyTree) -> PyTree:
    """Return the part of a value that `on=` selects. Weights that weren't given have no parts.

    From weights by output, such as a dict of them, `on=` selects what it selects from the labels.
    """
    place = dict(term.on).get(name)
    if name in ("sample_weight", "class_weight"):
        if value is None:
            return value
        if place is None and not is_arraylike(value):
            place = dict(term.on).get("y_true")
    if place is None:
        return value
    try:
        return place(value, name)
    except InjectionError as e:
        raise InjectionError(f"{term.who} has `on={_on_text(term.on)}`, but {e}") from None


def _check_on(term: Term) -> None:
    """Refuse an `on={...}` about what the function doesn't ask for. Weights count without being asked for."""
    if _is_both(term.on):
        return
    wanted = term.asking.request
    for name, _ in term.on:
        if name not in wanted and name != "sample_weight":
            raise InjectionError(
                f"{term.who} has `on={_on_text(term.on)}`, but doesn't ask for `{name}`; it asks for "
                f"{listed(wanted.names)}.{did_you_mean(name, wanted.names)}"
            )


def _on_text(on: Selection) -> str:
    spelled = {name: place.path if len(place.path) != 1 else place.path[0] for name, place in on}
    return repr(spelled["y_true"] if _is_both(on) else spelled)


def _is_both(on: Selection) -> bool:
    """Whether this is `on=` without a dict: the same place in `y_true` and `y_pred`."""
    return [name for name, _ in on] == ["y_true", "y_pred"] and on[0][1] == on[1][1]
