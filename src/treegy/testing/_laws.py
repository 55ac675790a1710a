"""The laws, each as pairs of metric values that must be the same."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._terms._accumulator import Mean, Sum, compute_all
from .._types import PyTree
from ._subject import Parts, Subject, emptied, merged, poisoned, repetitions, taken


class Tried(NamedTuple):
    """What a subject makes of its examples: accumulators by part. What is about weights is of none if it has none."""

    pieces: list[Parts]
    """Of three batches into which they are cut."""
    whole: Parts
    weighted_pieces: list[Parts]
    weighted: Parts
    repeated: Parts
    """Of as many examples, some of which are there several times and some not at all."""
    weighted_mean: Parts
    repeated_mean: Parts
    poisoned_mean: Parts
    """Weighted, where the examples of weight 0 are NaN."""
    remaining_mean: Parts
    """Weighted, without the examples of weight 0."""
    gone_mean: Parts
    """Weighted, where all examples are of weight 0, and NaN."""
    stacked: dict[str, PyTree]
    """The metric values of all examples and of the repeated ones, under one vmap."""


def cuts(size: int) -> tuple[int, int]:
    """Return where so many examples are cut into three batches."""
    return 1, size // 2


def weights(size: int) -> jax.Array | None:
    """Return a weight for each example, some of them 0; none if there are no examples."""
    return jnp.asarray(repetitions(size), jnp.float32) if size else None


def tried(it: Subject, examples: dict[str, PyTree], weight: jax.Array | None) -> Tried:
    """Return all that the laws compare, in one traced function: compiling is what takes time."""
    it = it._replace(examples=examples)
    if weight is None:
        one = it.of({})
        none: Parts = {}
        return Tried([one] * 3, one, [], none, none, none, none, none, none, none, {})
    often = repetitions(it.size)
    here = np.flatnonzero(often)
    repeated = taken(examples, np.repeat(np.arange(it.size), often))
    return Tried(
        it.pieces(cuts(it.size)),
        it.of(examples),
        it.pieces(cuts(it.size), weight),
        it.of(examples, weight),
        it.of(repeated),
        # About weights, a mean that doesn't divide by them says nothing.
        it.of(examples, weight, Mean.of),
        it.of(repeated, None, Mean.of),
        it.of(poisoned(examples, often == 0), weight, Mean.of),
        it.of(taken(examples, here), weight[here], Mean.of),
        it.of(poisoned(examples, np.ones(it.size, bool)), jnp.zeros_like(weight), Mean.of),
        jax.vmap(it.metric_values)(jax.tree.map(lambda a, b: jnp.stack([a, b]), examples, repeated)),
    )


# Compiled once for all that has the same accumulators.
metric_value = jax.jit(compute_all)


class Sides(NamedTuple):
    """Two metric values that must be the same, and what they are of."""

    metric_value: PyTree
    of: str
    other: PyTree
    other_of: str


class Law(NamedTuple):
    """Something that holds for every loss and metric."""

    says: str
    mend: str
    sides: Callable[[Subject, Tried], list[Sides]]
    of_examples: bool = True
    """Whether it says nothing about what isn't about examples."""


def _batching(it: Subject, of: Tried) -> list[Sides]:
    if not it.size:
        if it.reduce == Sum.of:
            return []  # a sum grows with the examples, of which there are none
        return [Sides(metric_value(merged(of.pieces)), "in three batches", metric_value(of.whole), "in one batch")]
    cut = "cut at {} and {}".format(*cuts(it.size))
    return [
        Sides(metric_value(merged(of.pieces)), cut, metric_value(of.whole), "in one batch"),
        Sides(
            metric_value(merged(of.weighted_pieces)),
            f"weighted, {cut}",
            metric_value(of.weighted),
            "weighted, in one batch",
        ),
    ]


def _merging(it: Subject, of: Tried) -> list[Sides]:
    a, b, c = of.weighted_pieces or of.pieces
    left, right = merged([merged([a, b]), c]), merged([a, merged([b, c])])
    alone = metric_value(a)
    return [
        Sides(metric_value(left), "(a + b) + c", metric_value(right), "a + (b + c)"),
        Sides(metric_value(merged([a, b])), "a + b", metric_value(merged([b, a])), "b + a"),
        Sides(metric_value(merged([a, emptied(a)])), "a + empty", alone, "a"),
        Sides(metric_value(merged([emptied(a), a])), "empty + a", alone, "a"),
    ]


def _repetition(it: Subject, of: Tried) -> list[Sides]:
    often = f"with the weights {repetitions(it.size).tolist()}"
    return [
        Sides(metric_value(of.weighted_mean), often, metric_value(of.repeated_mean), "with each example that often")
    ]


def _absence(it: Subject, of: Tried) -> list[Sides]:
    poisoned = "with NaN in the examples of weight 0"
    return [Sides(metric_value(of.poisoned_mean), poisoned, metric_value(of.remaining_mean), "without these examples")]


def _nothing(it: Subject, of: Tried) -> list[Sides]:
    gone, nothing = metric_value(of.gone_mean), metric_value(emptied(of.gone_mean))
    sides = [Sides(gone, "with weights that are all 0", nothing, "of `empty()`")]
    if not it.asks_for_nan:
        number = jax.tree.map(lambda f: np.where(np.isnan(f), 0, f), nothing)
        sides.append(Sides(nothing, "of `empty()`", number, "as a number"))
    return sides


def _vmap(it: Subject, of: Tried) -> list[Sides]:
    alone = jax.tree.map(lambda a, b: np.stack([a, b]), metric_value(of.whole), metric_value(of.repeated))
    return [Sides(of.stacked, "of two sets of examples under vmap", alone, "of each alone")]


LAWS: Mapping[str, Law] = {
    "batching": Law(
        "the metric value doesn't depend on how the examples are cut into batches",
        "Return one value per example, or an `Accumulator` that holds sums: a mean of means isn't the mean.",
        _batching,
        of_examples=False,
    ),
    "merging": Law(
        "merging is associative and commutative, and merging with `empty()` changes nothing",
        "`merge` must add up all that `compute` reads, and `empty()` be what no examples add up to.",
        _merging,
        of_examples=False,
    ),
    "repetition": Law(
        "an example of the weight k counts like k examples",
        "Leave weighting to treegy, which multiplies the values that `call` returns; an `Accumulator` must weigh its "
        "denominators, too.",
        _repetition,
    ),
    "absence": Law(
        "an example of the weight 0 isn't there, even where its value is NaN",
        "What is NaN stays so when it is multiplied with 0: select with `jnp.where(sample_weight != 0, value, 0)`. "
        "The value of one example mustn't depend on another.",
        _absence,
    ),
    "nothing": Law(
        "examples that all have the weight 0 are no examples, of which the metric value isn't NaN",
        "A denominator may be 0, of which `tg.Mean` makes 0: divide by `jnp.where(count != 0, count, 1)`.",
        _nothing,
    ),
    "vmap": Law(
        "under vmap it is what it is alone",
        "Reduce over the axes of an example or over the batch, and nothing that is fixed outside of `call`.",
        _vmap,
    ),
}
