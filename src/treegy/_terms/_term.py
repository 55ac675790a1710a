"""One loss or metric: from the values there are to what it makes of them.

A loss and a metric are the same kind of thing, a function that asks for values by name and returns per-example values
(or an `Accumulator`). What they have in common is here; how the values are then averaged differs.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._describe import array_name, describe, is_arraylike, listed
from .._errors import ContractError, InjectionError
from .._injection._at import Selection
from .._injection._contract import Vocabulary, check
from .._injection._inject import Request, bind, call, function_name, request, written
from .._warn import warn
from ._accumulator import Accumulator, Masked, Mean, Scaled, Sum, as_summand, cleared, is_accumulator, weigh

Available = Mapping[str, Any]

REDUCTIONS = ("sum_over_batch_size", "weighted_mean", "sum", "none")

# Everything that a loss or metric of a model can ask for.
INJECTED = (
    "x",
    "y_true",
    "y_pred",
    "sample_weight",
    "class_weight",
    "training",
    "initializing",
    "parameters",
    "states",
    "step",
    "module",
    "key",
)

# A `call` that asks for none of these, such as a regularizer, has no examples that could be weighted.
OF_EXAMPLES = ("x", "y_true", "y_pred")

_ABSENT = {
    "x": "There is no `x`: no inputs were given.",
    "y_true": "There is no `y_true`: no `y` was given.",
    "y_pred": "There is no `y_pred`: nothing was predicted.",
    "key": "There is no `key`: pass one.",
    "module": "There is no `module`: the model has none.",
    "step": "There is no `step`: pass one.",
}


class Context(NamedTuple):
    """What is the same for every loss and metric of a model in one step."""

    available: Available
    """The values that can be asked for, by name."""
    size: Any
    """How many examples there are."""
    sample_weight: Any = None
    vocabulary: Vocabulary | None = None
    """The axes that mean the same in every loss and metric of a model; only `batch` where it is empty."""


class OverBatch:
    """A function of a whole `Batch`: what metrics that wrap another one are, which pass it on.

    Its signature says which values it reads, `sample_weight` among them, so that these are checked to be there.
    """

    def __init__(self, who: str, parameters: Iterable[inspect.Parameter], over: Callable[[Context], Any]):
        self.over = over
        self.__qualname__ = who
        self.__signature__ = inspect.Signature(list(parameters))

    def __call__(self, **values: Any) -> Any:
        return self.over(Context(values, size_of(values), values.get("sample_weight")))


class Term(NamedTuple):
    """A loss or a metric, or a plain function that stands for one."""

    kind: str
    """`loss` or `metric`."""
    name: str
    fn: Callable[..., Any]
    """What is called with the values that it asks for."""
    on: Selection
    local_axes: bool
    weight: Any = 1.0
    """What a loss is multiplied with: a number, or a function of the step."""
    reduction: str = "sum_over_batch_size"
    elementwise: bool = False
    """Whether elements are compared one by one, and averaged over the last axis."""
    several_labels: bool = False
    """Whether each column of `y_true` is a label of its own."""
    ignore_class: int | None = None
    """The label whose values don't count."""

    @property
    def who(self) -> str:
        """How errors call it: its name in the logs, and what the user wrote."""
        label = function_name(self.fn)
        return f"{self.kind} `{self.name}`" + (f" ({label})" if label != self.name else "")


def make_term(kind: str, thing: Any, name: str) -> Term:
    """The term of a `Loss` or `Metric`, or of a plain function that is used as one.

    **Arguments:**

    - `kind`: `loss` or `metric`.
    - `thing`: the object or function.
    - `name`: what it is called in the logs.
    """
    if not hasattr(thing, "_function"):
        # An attribute of the function, which decorators copy; partials don't.
        local_axes = getattr(thing, "local_axes", getattr(written(thing), "local_axes", False))
        return Term(kind, name, thing, (), local_axes)
    return Term(
        kind,
        name,
        thing._function(),
        thing.on or (),
        thing.local_axes,
        getattr(thing, "weight", 1.0) if kind == "loss" else 1.0,
        getattr(thing, "reduction", "sum_over_batch_size"),
        # Along another axis, elements can't be told apart by putting an axis behind them.
        getattr(thing, "elementwise", False) and getattr(thing, "axis", -1) == -1,
        getattr(thing, "several_labels", False),
        getattr(thing, "ignore_class", None),
    )


def default_name(kind: str, thing: Any) -> str:
    """The name of a loss or metric in the logs: what it was given, else made of the function's or class's name.

    `MSE` becomes `mse`, `MyMSELoss` `my_mse_loss`, `F1Score` `f1_score`. A loss ends in `_loss`, unless "loss" occurs
    in its name already.
    """
    name = getattr(thing, "name", None) if hasattr(thing, "_function") else None
    if name is None:
        name = _class_name(thing) if hasattr(thing, "_function") else _function_name(thing)
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
        name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return f"{name}_loss" if kind == "loss" and "loss" not in name else name


def _class_name(thing: Any) -> str:
    # Wrappers are called after what they wrap.
    return thing._wrapped_name() if hasattr(thing, "_wrapped_name") else type(thing).__name__


def _function_name(fn: Any) -> str:
    name = getattr(fn, "__name__", None) or getattr(written(fn), "__name__", type(fn).__name__)
    if inspect.isfunction(written(fn)) and name == "__call__":
        name = type(fn).__name__
    return "lambda" if name == "<lambda>" else name


def reads(term: Term, context: Context) -> dict[str, Any]:
    """The values that a term asks for, as it gets them.

    A loss, which is differentiated, gets no examples that aren't finite where their weight is 0.
    """
    _check_on(term, request(term.fn))
    values = bind(term.fn, seen(term, context).available, term.who, _ABSENT)
    weight = placed(term, "sample_weight", context.sample_weight)
    if term.kind != "loss" or not is_arraylike(weight):
        return values
    return {k: cleared(v, jnp.asarray(weight)) if k in OF_EXAMPLES else v for k, v in values.items()}


def seen(term: Term, context: Context) -> Context:
    """A batch with the parts that `on=` says of what the term asks for."""
    wanted = request(term.fn)
    available = {k: placed(term, k, v) if k in wanted else v for k, v in context.available.items()}
    return context._replace(available=available)


def placed(term: Term, name: str, value: Any) -> Any:
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


def weighted(term: Term, context: Context, weight: Any) -> tuple[Term, Context]:
    """A term, and a batch in which its weights are these, in place of those that `on=` says."""
    # A `call` that names `sample_weight` sees all of it: what it makes an accumulator of isn't weighted afterwards.
    available = {**context.available, "sample_weight": weight}
    on = tuple(pair for pair in term.on if pair[0] != "sample_weight")
    return term._replace(on=on), context._replace(sample_weight=weight, available=available)


def _check_on(term: Term, wanted: Request) -> None:
    """Refuse an `on={...}` about what the function doesn't ask for. Weights count without being asked for."""
    if _is_both(term.on):
        return
    for name, _ in term.on:
        if name not in wanted and name != "sample_weight":
            near = difflib.get_close_matches(name, wanted.names, n=1)
            raise InjectionError(
                f"{term.who} has `on={_on_text(term.on)}`, but doesn't ask for `{name}`; it asks for "
                f"{listed(wanted.names)}." + (f" Did you mean `{near[0]}`?" if near else "")
            )


class Outcome(NamedTuple):
    """What a term's function returned."""

    result: Any
    elements: int | None = None
    """How many elements the mean of an example is of, where `result` has a value for each of them; else it has the
    values that the function averages itself."""


def outcome(term: Term, context: Context) -> Outcome:
    """Call a term's function, its arguments and result checked against their annotations."""
    arguments = reads(term, context)
    vocabulary = context.vocabulary or {}
    if term.local_axes:
        vocabulary = {"batch": vocabulary["batch"]} if "batch" in vocabulary else {}
    try:
        check(term.fn, arguments, who=term.who, vocabulary=vocabulary)
    except ContractError as e:
        raise ContractError(f"{e}{_outputs_hint(term, arguments, str(e))}") from None
    elements = _weighted_elements(term, context, arguments)
    called = arguments if elements is None else _by_element(arguments)
    try:
        if isinstance(term.fn, OverBatch):
            weight = called.get("sample_weight")
            result = term.fn.over(Context(called, context.size, weight, vocabulary))
        else:
            result = call(term.fn, called)
    except ContractError as e:
        # Raised by the mathematics, which doesn't know who called it.
        raise ContractError(f"{term.who}: {e}") from None
    if elements is None:
        check(term.fn, {**arguments, "return": result}, who=term.who, vocabulary=vocabulary)
    return Outcome(result, elements)


def _outputs_hint(term: Term, arguments: Mapping[str, Any], message: str) -> str:
    """Return how one of several outputs is selected, if a term that takes an array got all of them."""
    for name in ("y_true", "y_pred"):
        value = arguments.get(name)
        several = isinstance(value, Mapping | tuple | list) and len(value) > 0 and name not in dict(term.on)
        if several and f"`{name}` is " in message and message.endswith("and an array is expected."):
            group = term.name.rpartition("/")[0]
            keys = list(value) if isinstance(value, Mapping) else [0]
            key = group if group in keys else keys[0]
            return f" Select one part with `on={key!r}`: the keys of `loss=` and `metrics=` are names only."
    return ""


def _weighted_elements(term: Term, context: Context, arguments: Mapping[str, Any]) -> int | None:
    """Return how many elements an example's mean is of, if there is a weight for each of them, else `None`."""
    labels: Any = arguments.get("y_true")
    weight = placed(term, "sample_weight", context.sample_weight)
    if not term.elementwise or not is_arraylike(labels) or not is_arraylike(weight):
        return None
    return labels.shape[-1] if len(labels.shape) > 1 and tuple(weight.shape) == tuple(labels.shape) else None


def _by_element(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments in which each element stands along a last axis of length 1, which its mean leaves as it is."""
    axis = len(arguments["y_true"].shape)
    return {
        name: jax.tree.map(lambda a: jnp.expand_dims(a, axis), value) if name in ("y_true", "y_pred") else value
        for name, value in arguments.items()
    }


def parts(term: Term, context: Context, reduce: Callable[[Any, Any, Any], Accumulator]) -> dict[str, Accumulator]:
    """The accumulators of a term in one batch: by part for one that returns a dict, under `""` otherwise.

    **Arguments:**

    - `term`: the loss or metric.
    - `batch`: what it is evaluated on.
    - `reduce`: makes an accumulator of values, their weights and their mask.
    """
    result, elements = outcome(term, context)
    return {name: _part(term, name, v, elements, context, reduce) for name, v in _pieces(result).items()}


def _pieces(result: Any) -> dict[str, Any]:
    return {str(k): v for k, v in result.items()} if isinstance(result, Mapping) else {"": result}


def _part(
    term: Term,
    part: str,
    result: Any,
    elements: int | None,
    context: Context,
    reduce: Callable[[Any, Any, Any], Accumulator],
) -> Accumulator:
    wanted = request(term.fn)
    of_examples = any(name in wanted for name in OF_EXAMPLES)
    weight = placed(term, "sample_weight", context.sample_weight) if of_examples else None
    who = term.who + (f", part `{part}`," if part else "")
    if is_accumulator(result):
        if weight is not None and "sample_weight" not in wanted:
            raise ContractError(
                f"{who} returned an `Accumulator` without asking for `sample_weight`, and weights were given: they "
                "would be lost. Add a parameter `sample_weight` and use it."
            )
        return result
    values, mask = (result.values, result.mask) if isinstance(result, Masked) else (result, None)
    values = _as_values(who, values)
    if weight is not None:
        weight = as_weight(who, weight)
    if values.ndim == 0:
        if weight is not None:
            raise ContractError(
                f"{who} returned a scalar where `sample_weight` {array_name(weight)} was given: the weights would be "
                "lost. Return one value per example, of shape (batch,)."
            )
        if mask is not None:
            raise ContractError(f"{who} returned `Masked` values that are a scalar: return one value per example.")
        return _of_batch(values, context.size, of_examples, reduce)
    if of_examples and elements is None:
        _check_is_per_example(term, part, who, values, context)
    if elements is not None and isinstance(reduce(jnp.zeros(()), None, None), Sum):
        # The sum over examples of their means.
        values = values / elements
    try:
        return reduce(values, weight, mask)
    except ContractError as e:
        hint = "" if term.elementwise or elements is not None else _elements_hint(term, context, values, weight)
        raise ContractError(f"{who}: {e}{hint}") from None


def _elements_hint(term: Term, context: Context, values: Any, weight: Any) -> str:
    labels: Any = _examples_of(term, context).get("y_true")
    if not is_arraylike(labels) or weight is None or labels.shape != weight.shape:
        return ""
    return (
        " Weights of single elements reach losses and metrics that average elements (`elementwise = True`, as most of "
        "treegy's do); others can return `tg.Masked` values."
    )


def _examples_of(term: Term, context: Context) -> dict[str, Any]:
    """Return those of the examples' values that a term asks for."""
    wanted = request(term.fn)
    names = [name for name in OF_EXAMPLES if name in wanted and name in context.available]
    return {name: placed(term, name, context.available[name]) for name in names}


def _check_is_per_example(term: Term, part: str, who: str, values: Any, context: Context) -> None:
    """Raise unless the values have the batch as their first axis; warn where another one is the batch as well."""
    size = context.size
    read = jax.tree.leaves(_examples_of(term, context))
    elsewhere = {n for a in read if is_arraylike(a) for n in a.shape[1:]} | set(values.shape[1:])
    if values.shape[0] == size and size not in elsewhere:
        return
    message = (
        f"{who} returned values {array_name(values)} for {size} examples, and one value per example is expected, with "
        "the batch as the first axis. Average over the other axes (`axis=-1`), not over the batch (`axis=0`)."
    )
    if values.shape[0] % size:
        raise ContractError(message)
    # Lengths that happen to be equal are told apart by a batch of another size; some functions take even ones alone.
    larger, other = size + 1, _shape_at(term, part, context, size + 1)
    if isinstance(other, Exception):
        larger, other = 2 * size, _shape_at(term, part, context, 2 * size)
    if isinstance(other, Exception):
        if _is_about_shapes(other):
            warn(
                f"{who} returned values {array_name(values)}, and fails for batches of another size than {size}: is "
                f"{_shapes_text(term, batch)} broadcast along the wrong axis, which is as long? Its metric value is "
                "that of such a batch alone."
            )
        return
    if len(other) != values.ndim:
        return
    if values.shape[0] // size * larger != other[0]:
        raise ContractError(message)
    if any(a != b for a, b in zip(values.shape[1:], other[1:], strict=True)):
        warn(
            f"{who} returned values {array_name(values)}, which compare each of {size} examples with each: is "
            f"{_shapes_text(term, batch)} broadcast? Give both the same shape. If pairs are meant, its metric value "
            "depends on how the examples are cut into batches."
        )


def _shapes_text(term: Term, context: Context) -> str:
    shown = [f"`{name}` {describe(value)}" for name, value in _examples_of(term, context).items() if value is not None]
    return " against ".join(shown) or "`x`"


def _is_about_shapes(error: Exception) -> bool:
    """Whether an error isn't due to values that aren't there while shapes are found out."""
    return isinstance(error, TypeError | ValueError) and not isinstance(error, jax.errors.JAXTypeError)


def _shape_at(term: Term, part: str, context: Context, size: int) -> tuple[int, ...] | Exception:
    """Return the shape of the values for a batch of another size; the error if the function doesn't take one."""

    def resized(leaf: Any) -> Any:
        if not is_arraylike(leaf) or leaf.shape[:1] != (context.size,):
            return leaf
        return jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)

    names = [name for name in (*OF_EXAMPLES, "sample_weight") if name in context.available]
    examples = jax.tree.map(resized, ({n: context.available[n] for n in names}, context.sample_weight))
    axes = {n: axis._replace(length=size) if n == "batch" else axis for n, axis in (context.vocabulary or {}).items()}

    def values(examples: Any) -> Any:
        available, weight = examples
        resized = Context({**context.available, **available}, size, weight, axes)
        found = _pieces(outcome(term, resized).result)[part]
        return found.values if isinstance(found, Masked) else found

    try:
        return tuple(eqx.filter_eval_shape(values, examples).shape)
    except Exception as error:  # whatever a function raises that is written for batches of one size
        return error


def _of_batch(value: Any, size: Any, of_examples: bool, reduce: Callable[[Any, Any, Any], Accumulator]) -> Accumulator:
    """A scalar: a figure of the whole batch, counted once for each example."""
    probe = reduce(value, None, None)
    if isinstance(probe, Sum):
        # The sum over the examples: of a figure that isn't about examples, as often as there are examples.
        return probe if of_examples else Sum(probe.total * size)
    return Mean.of_batch(value, size)


def _as_values(who: str, values: Any) -> Any:
    if isinstance(values, bool | int | float) or is_arraylike(values):
        values = jnp.asarray(values)
        if jnp.issubdtype(values.dtype, jnp.number) or values.dtype == bool:
            if jnp.issubdtype(values.dtype, jnp.complexfloating):
                raise ContractError(f"{who} returned complex values {array_name(values)}; real ones are expected.")
            return values
    raise ContractError(
        f"{who} returned {describe(values)}; expected are values per example (an array), `tg.Masked` values, an "
        "`Accumulator`, or a dict of these."
    )


def as_weight(who: str, weight: Any) -> Any:
    if is_arraylike(weight):
        return jnp.asarray(weight)
    raise ContractError(
        f"{who} got a `sample_weight` that is {describe(weight)}, and an array is expected. "
        'Choose a part of it with `on={"sample_weight": ...}`.'
    )


def reducer(reduction: str) -> Callable[[Any, Any, Any], Accumulator]:
    """How a reduction makes an accumulator of values, their weights and their mask."""
    if reduction == "sum_over_batch_size":
        return Mean.of_examples
    if reduction == "weighted_mean":
        return Mean.of
    return Sum.of


def unreduced(term: Term, context: Context) -> Any:
    """The weighted values themselves, for `reduction="none"`."""
    result, elements = outcome(term, context)
    factor = _factor(term, context)

    def one(part: Any) -> Any:
        values, mask = (part.values, part.mask) if isinstance(part, Masked) else (part, None)
        weighted = weigh(values, placed(term, "sample_weight", context.sample_weight), mask)[0]
        weighted = weighted if elements is None else jnp.mean(weighted, axis=-1)
        return weighted if factor is None else weighted * factor.astype(weighted.dtype)

    if isinstance(result, Mapping):
        return {k: one(v) for k, v in result.items()}
    return one(result)


def scaled(term: Term, accumulator: Accumulator, context: Context) -> Accumulator:
    """Return `accumulator` with its metric value times the weight of a loss in the step of this batch."""
    factor = _factor(term, context)
    if factor is None:
        return accumulator
    if isinstance(accumulator, Mean | Sum):
        return accumulator.times(factor)
    if callable(term.weight):
        raise ContractError(
            f"{term.who} returned {describe(accumulator)}, and its `weight` is a schedule: what each batch adds to it "
            "can't be multiplied. Return values per example."
        )
    return Scaled(accumulator, factor)


def _factor(term: Term, context: Context) -> Any:
    """Return what a loss is multiplied with in this batch; `None` for 1."""
    weight = term.weight
    if callable(weight):
        step = context.available.get("step")
        if step is None:
            raise InjectionError(
                f"{term.who} has a `weight` that is a schedule, and there is no step to look it up for: pass `step=`."
            )
        weight: Any = weight(step)
        if not (isinstance(weight, int | float) or (is_arraylike(weight) and weight.shape == ())):
            raise TypeError(f"the `weight` of {term.who} is {describe(weight)} at this step; a number is expected.")
    return None if isinstance(weight, int | float) and weight == 1 else as_summand(weight)


def standing_alone(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The values there are when a loss or metric is called by hand: positional ones go by the order of `call`.

    NumPy arrays become jax arrays, as they do in a step.
    """
    names = request(fn).positional
    if len(args) > len(names):
        raise InjectionError(
            f"`{function_name(fn)}` takes at most {len(names)} positional arguments, and got {len(args)}."
        )
    twice = [n for n in names[: len(args)] if n in kwargs]
    if twice:
        raise InjectionError(f"`{function_name(fn)}` got `{twice[0]}` twice, by position and by name.")
    wanted = request(fn)
    unknown = [n for n in kwargs if n not in wanted and n not in INJECTED]
    if unknown:
        near = difflib.get_close_matches(unknown[0], [*wanted.names, *INJECTED], n=1)
        raise InjectionError(
            f"`{function_name(fn)}` doesn't ask for `{unknown[0]}`." + (f" Did you mean `{near[0]}`?" if near else "")
        )
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {k: jax.tree.map(_as_jax, v) for k, v in given.items()}


def _as_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if eqx.is_array(leaf) or is_arraylike(leaf) else leaf


def size_of(values: Mapping[str, Any]) -> Any:
    """How many examples there are in some values: the length of the first axis of the first array.

    One where there are none: the leaves of parameters or states are no examples.
    """
    no_examples = ("parameters", "states", "class_weight", "step", "module", "key")
    others = [name for name in values if name not in no_examples]
    for name in ("y_pred", "y_true", "x", *others):
        for leaf in jax.tree.leaves(values.get(name)):
            if is_arraylike(leaf) and len(leaf.shape) > 0:
                return leaf.shape[0]
    return 1


def _on_text(on: Selection) -> str:
    spelled = {name: place.path if len(place.path) != 1 else place.path[0] for name, place in on}
    return repr(spelled["y_true"] if _is_both(on) else spelled)


def _is_both(on: Selection) -> bool:
    """Whether this is `on=` without a dict: the same place in `y_true` and `y_pred`."""
    return [name for name, _ in on] == ["y_true", "y_pred"] and on[0][1] == on[1][1]
