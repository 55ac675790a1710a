"""From what a loss or metric returns to accumulators: weighted, reduced, multiplied by a loss's own weight."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .._describe import array_name, describe, is_arraylike
from .._errors import ContractError, InjectionError
from .._types import PyTree
from ._accumulator import Accumulator, Mean, Scaled, Sum, is_accumulator
from ._check_per_example import check_is_per_example, elements_hint
from ._outcome import outcome, pieces
from ._part_of_batch import check_is_of_examples
from ._read import Reading, read
from ._term import OF_EXAMPLES, Context, Term
from ._weights import Masked, as_summand, weigh

Reduce = Callable[[Any, Any, Any], Accumulator]
"""Makes an accumulator of values, their weights and their mask."""


def parts(term: Term, context: Context, reduce: Reduce, reading: Reading | None = None) -> dict[str, Accumulator]:
    """Return the accumulators of a term in one batch: by part for one that returns a dict, under `""` otherwise.

    **Arguments:**

    - `term`: the loss or metric.
    - `context`: what it is evaluated on.
    - `reduce`: makes an accumulator of values, their weights and their mask.
    - `reading`: what it reads there, if that isn't simply what the context has, but weighed otherwise.
    """
    reading = read(term, context) if reading is None else reading
    result, elements = outcome(term, context, reading)
    return {name: _part(term, name, v, elements, context, reading, reduce) for name, v in pieces(result).items()}


def _part(
    term: Term,
    part: str,
    result: PyTree,
    elements: int | None,
    context: Context,
    reading: Reading,
    reduce: Reduce,
) -> Accumulator:
    wanted = term.asking.request
    of_examples = any(name in wanted for name in OF_EXAMPLES)
    weight = reading.weight if of_examples else None
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
        if of_examples and term.kind == "loss":
            check_is_of_examples(who)
        return _of_batch(values, context.size, of_examples, reduce)
    if of_examples and elements is None:
        check_is_per_example(term, part, who, values, context, reading)
    if elements is not None and isinstance(reduce(jnp.zeros(()), None, None), Sum):
        # The sum over examples of their means.
        values = values / elements
    try:
        return reduce(values, weight, mask)
    except ContractError as e:
        hint = "" if term.elementwise or elements is not None else elements_hint(reading, weight)
        raise ContractError(f"{who}: {e}{hint}") from None


def _of_batch(value: Array, size: int, of_examples: bool, reduce: Reduce) -> Accumulator:
    """Return a scalar: a metric value of the whole batch, counted once for each example."""
    probe = reduce(value, None, None)
    if isinstance(probe, Sum):
        # The sum over the examples: of a metric value that isn't about examples, as often as there are examples.
        return probe if of_examples else Sum(probe.total * size)
    return Mean.of_batch(value, size)


def _as_values(who: str, values: PyTree) -> Array:
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


def as_weight(who: str, weight: PyTree) -> Array:
    if is_arraylike(weight):
        return jnp.asarray(weight)
    raise ContractError(
        f"{who} got a `sample_weight` that is {describe(weight)}, and an array is expected. "
        'Choose a part of it with `on={"sample_weight": ...}`.'
    )


def reducer(reduction: str) -> Reduce:
    """How a reduction makes an accumulator of values, their weights and their mask."""
    if reduction == "sum_over_batch_size":
        return Mean.of_examples
    if reduction == "weighted_mean":
        return Mean.of
    return Sum.of


def unreduced(term: Term, context: Context, reading: Reading) -> PyTree:
    """Return the weighted values themselves, for `reduction="none"`."""
    result, elements = outcome(term, context, reading)
    factor = _factor(term, context)

    def one(part: PyTree) -> PyTree:
        values, mask = (part.values, part.mask) if isinstance(part, Masked) else (part, None)
        weighted = weigh(values, reading.weight, mask)[0]
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


def _factor(term: Term, context: Context) -> Array | None:
    """Return what a loss is multiplied with in this batch; `None` for 1."""
    weight = term.weight
    if callable(weight):
        step = context.available.get("step")
        if step is None:
            raise InjectionError(
                f"{term.who} has a `weight` that is a schedule, and there is no step to look it up for: pass `step=`."
            )
        weight: PyTree = weight(step)
        if not (isinstance(weight, int | float) or (is_arraylike(weight) and weight.shape == ())):
            raise TypeError(f"the `weight` of {term.who} is {describe(weight)} at this step; a number is expected.")
    return None if isinstance(weight, int | float) and weight == 1 else as_summand(weight)
