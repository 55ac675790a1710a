"""Any injected value, or a function of some, for metrics that are told what they are of."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..._describe import describe, is_arraylike
from ..._errors import ContractError
from ..._injection._inject import annotations, inject, request
from ..._terms._accumulator import Accumulator
from ..._terms._term import OF_EXAMPLES
from ..._terms._weights import Masked

Of = str | Callable[..., Any]


def check_of(of: Any, name: str = "of") -> None:
    if not (callable(of) or (isinstance(of, str) and of.isidentifier())):
        raise TypeError(
            f"`{name}` is the name of a value such as `y_pred`, or a function that asks for values by name, "
            f"and got {describe(of)}."
        )


def check_of_examples(of: Of, what: str) -> None:
    """Refuse what isn't about examples: how often it were counted would depend on how these are cut into batches."""
    wanted = request(asking(of, what))
    if not any(name in wanted for name in (*OF_EXAMPLES, "sample_weight")):
        raise ValueError(
            f"`of` asks for {', '.join(wanted.names) or 'nothing'}, and a {what} over examples needs one of "
            f"{', '.join(OF_EXAMPLES)} or sample_weight."
        )


def asking(of: Of, who: str) -> Callable[..., Any]:
    """A function that asks for what `of` names and returns it; `of` itself if that is a function."""
    if callable(of):
        return of
    parameter = inspect.Parameter(of, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return _asking_for([parameter], {}, who, lambda **values: values[of])


def asking_weights_too(of: Of, who: str, then: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A function that asks for what `of` asks for and for `sample_weight`, and passes the result and these to `then`.

    Its signature and its annotations are those of `of`, since by them it is called and checked. What isn't about
    examples, such as the weights themselves, isn't weighted: it comes with `None`.
    """
    read = asking(of, who)
    parameters = list(request(read).signature.parameters.values())
    if "sample_weight" not in [p.name for p in parameters]:
        weight = inspect.Parameter("sample_weight", inspect.Parameter.KEYWORD_ONLY, default=None)
        end = len(parameters) - (bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
        parameters.insert(end, weight)
    hints = {name: hint for name, hint in annotations(read).items() if name != "return"}
    weighted = any(name in request(read) for name in OF_EXAMPLES)
    return _asking_for(
        parameters,
        hints,
        who,
        lambda **values: then(inject(read, **values), values.get("sample_weight") if weighted else None),
    )


def accumulated(values: Any, weight: Any, of: Callable[[Any, Any, Any], Accumulator]) -> Any:
    """The accumulator of what `of` returned, a dict of them for a dict of values.

    **Arguments:**

    - `values`: values per example, [`treegy.Masked`][] ones, or a dict of these.
    - `weight`: of the examples.
    - `of`: makes an accumulator of values, their weights and their mask.

    **Raises:** [`treegy.ContractError`][] where it is something else.
    """
    if isinstance(values, Mapping):
        return {k: accumulated(v, weight, of) for k, v in values.items()}
    if isinstance(values, Masked):
        return of(values.values, weight, values.mask)
    if not (is_arraylike(values) or isinstance(values, bool | int | float)):
        raise ContractError(f"`of` returned {describe(values)}, and values per example (an array) are expected.")
    return of(values, weight, None)


def _asking_for(
    parameters: list[inspect.Parameter], hints: dict[str, Any], who: str, fn: Callable[..., Any]
) -> Callable[..., Any]:
    # A lambda, since jaxtyping's import hook wraps functions, and a wrapper's annotations aren't looked at.
    fn.__signature__ = inspect.Signature(parameters)
    fn.__annotations__ = hints
    fn.__qualname__ = who
    return fn
