"""Any injected value, or a function of some, for metrics that are told what they are of."""

import inspect
from collections.abc import Callable
from typing import Any

from .._describe import describe
from .._inject import annotations, inject, request

Of = str | Callable[..., Any]


def check_of(of: Any) -> None:
    if not (callable(of) or (isinstance(of, str) and of.isidentifier())):
        raise TypeError(
            "`of` is the name of a value such as `y_pred`, or a function that asks for values by name, "
            f"and got {describe(of)}."
        )


def asking(of: Of, who: str) -> Callable[..., Any]:
    """A function that asks for what `of` names and returns it; `of` itself if that is a function."""
    if callable(of):
        return of
    parameter = inspect.Parameter(of, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return _asking_for([parameter], {}, who, lambda **values: values[of])


def asking_weights_too(of: Of, who: str, then: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A function that asks for what `of` asks for and for `sample_weight`, and passes the result and these to `then`.

    Its signature and its annotations are those of `of`, since by them it is called and checked.
    """
    read = asking(of, who)
    parameters = list(request(read).signature.parameters.values())
    if "sample_weight" not in [p.name for p in parameters]:
        weight = inspect.Parameter("sample_weight", inspect.Parameter.KEYWORD_ONLY, default=None)
        end = len(parameters) - (bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
        parameters.insert(end, weight)
    hints = {name: hint for name, hint in annotations(read).items() if name != "return"}
    return _asking_for(
        parameters, hints, who, lambda **values: then(inject(read, **values), values.get("sample_weight"))
    )


def _asking_for(
    parameters: list[inspect.Parameter], hints: dict[str, Any], who: str, fn: Callable[..., Any]
) -> Callable[..., Any]:
    # A lambda, since jaxtyping's import hook wraps functions, and a wrapper's annotations aren't looked at.
    fn.__signature__ = inspect.Signature(parameters)
    fn.__annotations__ = hints
    fn.__qualname__ = who
    return fn
