"""What the module, the losses and the metrics of a model read, found from shapes."""

from typing import NamedTuple

import equinox as eqx

from .._describe import describe
from .._errors import InjectionError
from .._injection._inject import function_name, request
from .._steps._bind_self import bound_to
from .._steps._defaults import for_module, for_terms
from .._steps._dispatch import is_default
from .._steps._forward import inputs_of
from .._steps._model_like import ModelLike
from .._steps._states import States
from .._terms._naming import named_terms
from .._terms._read import read
from .._terms._term import INJECTED, Context, Term
from .._types import PyTree

# What the table says about these is that they are read; their shapes are in the table already, or are none.
_WITHOUT_SHAPE = ("training", "inference", "initializing", "parameters", "states", "state", "key", "module", "step")


class Injection(NamedTuple):
    """What the module, a loss or a metric reads."""

    kind: str
    """`module`, `loss` or `metric`."""
    name: str
    reads: dict[str, str]
    """The values by name, after `on=`: `{"y_true": "i32[32]", "y_pred['logits']": "f32[32,10]"}`."""
    error: str = ""
    """Why it can't be called, if so."""


def injections(model: ModelLike, states: States, x: PyTree, y: PyTree, notes: list[str]) -> list[Injection]:
    """Return what the module, the losses and the metrics read."""
    if x is None:
        return [_asked(term) for term in _terms(model)]
    found: list[Injection] = []

    def run(states: States, x: PyTree, y: PyTree) -> None:
        bound = bound_to(model, states)
        default = is_default(model, "pred_step")
        if default and callable(bound.module):
            found.append(_of_module(bound.module, x, for_module(states, False, False)))
        values = {"x": x, "y_true": y, "y_pred": None}
        if not default or callable(bound.module):
            try:
                values["y_pred"] = bound.pred_step(x=x, states=states, initializing=False, training=False)[0]
            except Exception as e:
                notes.append(f"nothing is predicted: `pred_step` raises {first_line(e)}")
        available = for_terms(values, None, None, states, False, False, bound.module)
        found.extend(_of_term(term, available) for term in _terms(model))

    eqx.filter_eval_shape(run, states, x, y)
    if isinstance(x, dict) and found and found[0].kind == "module":
        left = [k for k in x if k not in request(model.module)]
        if left:
            notes.append(f"the module doesn't ask for {', '.join(f'x[{k!r}]' for k in left)}.")
    return found


def _terms(model: ModelLike) -> list[Term]:
    """Return the losses and metrics of a model."""
    losses, metrics = named_terms(model.loss, model.metrics)
    return [*losses, *metrics]


def _of_module(module: PyTree, x: PyTree, provided: dict[str, PyTree]) -> Injection:
    name = type_name(module)
    try:
        inputs, wanted = inputs_of(module, x, "state" in provided), request(module)
    except InjectionError as e:
        return Injection("module", name, {}, str(e).splitlines()[0])
    found = {f"*[{i}]": describe(v) for i, v in enumerate(inputs.rest)}
    for n, value in inputs.by_name.items():
        found[n] = describe(value) + (" (from `x`, not the injected one)" if n in provided else "")
    found.update({n: _described(n, v) for n, v in provided.items() if n in wanted.names and n not in found})
    return Injection("module", name, found)


def _of_term(term: Term, available: dict[str, PyTree]) -> Injection:
    try:
        values = read(term, Context(available, 1)).arguments
    except InjectionError as e:
        if available.get("y_true") is None and "`y_true`" in str(e).splitlines()[0]:
            return Injection(term.kind, term.name, {}, "y_true: no `y` was given")
        # Who it is stands in the same row already.
        return Injection(term.kind, term.name, {}, str(e).splitlines()[0].removeprefix(f"{term.who} "))
    return Injection(term.kind, term.name, {_place(term, n): _described(n, v) for n, v in values.items()})


def _asked(term: Term) -> Injection:
    """Return what a term asks for, where no values are known."""
    wanted = term.asking.request
    return Injection(term.kind, term.name, {_place(term, n): "" for n in wanted.names if n in INJECTED})


def _place(term: Term, name: str) -> str:
    """Return a value as it would be spelled after `on=` and `tg.At`: `y_pred['logits']`."""
    path = [key for n, place in term.on if n == name for key in place.path]
    inner = term.asking.places.get(name)
    return name + "".join(f"[{key!r}]" for key in [*path, *(inner.path if inner is not None else ())])


def _described(name: str, value: PyTree) -> str:
    return "" if name in _WITHOUT_SHAPE else describe(value)


def type_name(node: object) -> str:
    """Return what a layer is called: its class, or the function that it is."""
    if isinstance(node, eqx.Module) or not callable(node):
        return type(node).__name__
    return function_name(node)


def first_line(error: Exception) -> str:
    """Return an error in one line."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
