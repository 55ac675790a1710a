"""Any injected value, or a function of some, for metrics that are told what they are of."""

from collections.abc import Callable, Mapping
from typing import Any

from ..._describe import describe, is_arraylike
from ..._errors import ContractError
from ..._injection._inject import Request
from ..._terms._reduce import Reduce
from ..._terms._term import OF_EXAMPLES, Asking, Context
from ..._terms._weights import Masked
from ..._types import PyTree

Of = str | Callable[..., Any]


def as_of(name: str) -> Callable[[Of], Of]:
    """Return a converter that raises `TypeError` for what is neither the name of a value nor a function."""

    def convert(of: Any) -> Of:
        if not (callable(of) or (isinstance(of, str) and of.isidentifier())):
            raise TypeError(
                f"`{name}` is the name of a value such as `y_pred`, or a function that asks for values by name, "
                f"and got {describe(of)}."
            )
        return of

    return convert


def check_of_examples(of: Of, what: str) -> None:
    """Refuse what isn't about examples: how often it were counted would depend on how these are cut into batches."""
    wanted = asking(of, what).request
    if not any(name in wanted for name in (*OF_EXAMPLES, "sample_weight")):
        raise ValueError(
            f"`of` asks for {', '.join(wanted.names) or 'nothing'}, and a {what} over examples needs one of "
            f"{', '.join(OF_EXAMPLES)} or sample_weight."
        )


def asking(of: Of, who: str) -> Asking:
    """What `of` asks for and returns: a value by its name, or a function of some.

    **Arguments:**

    - `who`: what errors call whoever asks for a value by its name.
    """
    if callable(of):
        return Asking.of(of)
    return Asking(who, Request((of,), frozenset((of,)), (of,)), lambda context: context.available[of])


def asking_weights_too(of: Of, who: str, then: Callable[[PyTree, PyTree], PyTree]) -> Asking:
    """What `of` asks for, and `sample_weight`; passes what `of` returns and these to `then`.

    What isn't about examples, such as the weights themselves, isn't weighted: it comes with `None`.
    """
    read = asking(of, who)
    weighted = any(name in read.request for name in OF_EXAMPLES)
    takes_weight = "sample_weight" in read.request

    def run(context: Context) -> PyTree:
        available = dict(context.available)
        weight = available.get("sample_weight")
        if not takes_weight:
            available.pop("sample_weight", None)
        return then(read.run(context._replace(available=available)), weight if weighted else None)

    wanted = read.request.joined((), ("sample_weight",))
    return Asking(who, wanted, run, read.fn, returns_result=False)


def accumulated(values: PyTree, weight: PyTree, of: Reduce) -> PyTree:
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
