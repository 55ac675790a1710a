"""What the predictions that a loss or metric reads are meant to be: what its class says, and its options."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import equinox as eqx
import numpy as np

from .. import losses, metrics
from .._injection._inject import all_arguments
from .._terms._term import is_term_object
from .._types import PyTree

MEANINGS = ("probabilities", "distributions", "logits", "scores", "margins", "indices", "rates")


class Meant(NamedTuple):
    """What predictions are meant to be, if anything in particular, and the options of what reads them."""

    predictions: str | None
    options: Mapping[str, object]


def meant_by(thing: Callable[..., PyTree]) -> Meant:
    """Return what a loss or metric means, or a function that stands for one, perhaps as a partial.

    **Raises:** `ValueError` where its class says what is none of the meanings.
    """
    if not is_term_object(thing):
        options = all_arguments(thing, {})
        return Meant(_as_options_say(_said_by(_class_of(thing)), options), options)
    return Meant(_as_options_say(_said_by(type(thing)), vars(thing)), vars(thing))


def _said_by(cls: type | None) -> str | None:
    said = getattr(cls, "predictions", None)
    if said is None or said in MEANINGS:
        return said
    raise ValueError(
        f"`predictions` of `{getattr(cls, '__name__', cls)}` is one of {', '.join(MEANINGS)}, and got {said!r}."
    )


def _as_options_say(said: str | None, options: Mapping[str, object]) -> str | None:
    if "num_thresholds" in options and options.get("capacity") is not None:
        return "scores"  # kept as they are, and compared with each other alone
    from_logits = options.get("from_logits")
    if isinstance(from_logits, bool):
        return "logits" if from_logits else said or "probabilities"
    if said not in ("probabilities", "scores"):
        return said
    thresholds = options.get("threshold", options.get("thresholds"))
    if thresholds is not None:
        # What is compared with 0 is no probability.
        return "probabilities" if np.any(np.asarray(thresholds) > 0) else "scores"
    # Where there is no threshold, the largest are positive.
    return "scores" if "threshold" in options or options.get("top_k") is not None else said


def _class_of(fn: Callable[..., PyTree]) -> type | None:
    """Return the class of this package that is made of one of its functions."""
    while isinstance(fn, functools.partial | eqx.Partial):
        fn = fn.func
    # Other callables may have no hash.
    return _classes().get(fn) if inspect.isfunction(fn) else None


@functools.cache
def _classes() -> dict[Callable[..., PyTree], type]:
    found: dict[Callable[..., PyTree], type] = {}
    for package in (losses, metrics):
        things = [getattr(package, name) for name in dir(package)]
        functions = {fn.__name__.replace("_", ""): fn for fn in things if inspect.isfunction(fn)}
        named = {cls.__name__.lower(): cls for cls in things if inspect.isclass(cls)}
        found |= {functions[name]: cls for name, cls in named.items() if name in functions}
    return found
