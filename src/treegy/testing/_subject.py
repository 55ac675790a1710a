"""A loss or metric with examples, as the laws look at it."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, describe, differences, is_arraylike, path_name
from .._terms._accumulator import Accumulator, Mean, compute_all, is_accumulator, merge_all
from .._terms._called_by_hand import standing_alone
from .._terms._naming import default_name
from .._terms._objective import check_terms
from .._terms._reduce import Reduce, parts, reducer, scaled
from .._terms._term import OF_EXAMPLES, Context, Kind, Term, is_term_object, make_term
from .._types import AnyArray, KeyPath, PyTree

FEWEST = 4
"""How many examples there must be at least: to be cut into three batches, some of them left out."""


Parts: TypeAlias = dict[str, Accumulator]
"""The accumulators of a loss or metric by part; what isn't several parts is filed under no name."""


class Subject(NamedTuple):
    """A loss or metric, and the values that it is tried on."""

    term: Term
    reduce: Reduce
    exempt: Mapping[str, str]
    """The laws that it can't keep, and why."""
    asks_for_nan: bool
    """Whether one of its options is NaN, such as `zero_division`: what it shows of nothing, then."""
    examples: dict[str, PyTree]
    """Those of the values that have an axis of the batch."""
    others: dict[str, PyTree]
    """The other ones."""

    @property
    def size(self) -> int:
        """How many examples there are; 0 for what isn't about examples, such as a regularizer."""
        return len(jax.tree.leaves(self.examples)[0]) if self.examples else 0

    def of(self, examples: Mapping[str, PyTree], weight: AnyArray | None = None, reduce: Reduce | None = None) -> Parts:
        """Return the accumulators of one batch, as a model makes them."""
        leaves = jax.tree.leaves(examples)
        size = leaves[0].shape[0] if leaves else 1
        context = Context({**self.others, **examples, "sample_weight": weight}, size, weight)
        found = parts(self.term, context, self.reduce if reduce is None else reduce)
        return {part: scaled(self.term, accumulator, context) for part, accumulator in found.items()}

    def metric_values(self, examples: Mapping[str, PyTree], weight: AnyArray | None = None) -> dict[str, PyTree]:
        """Return the metric values of one batch, by name."""
        return compute_all(self.of(examples, weight))

    def pieces(self, cuts: Sequence[int], weight: jax.Array | None = None) -> list[Parts]:
        """Return the accumulators of the batches into which the examples are cut."""
        spans = list(zip([0, *cuts], [*cuts, self.size], strict=True))
        return [
            self.of(taken(self.examples, slice(*span)), None if weight is None else weight[slice(*span)])
            for span in spans
        ]


# Compiled once for all that has the same accumulators.
merge = jax.jit(merge_all)


def merged(pieces: Sequence[Parts]) -> Parts:
    """Return the accumulators of all pieces."""
    return functools.reduce(merge, pieces)


def emptied(pieces: Parts) -> Parts:
    """Return the accumulators of no examples."""
    return jax.tree.map(lambda accumulator: accumulator.empty(), pieces, is_leaf=is_accumulator)


def taken(examples: dict[str, PyTree], which: np.ndarray | slice) -> dict[str, PyTree]:
    """Return some of the examples."""
    return jax.tree.map(lambda leaf: leaf[which], examples)


def make_subject(kind: Kind, thing: object, values: dict[str, PyTree]) -> Subject:
    """Return the subject of a check.

    **Arguments:**

    - `kind`: `loss` or `metric`.
    - `thing`: the loss or metric, an object or a function.
    - `values`: what it asks for, by name.

    **Raises:** `TypeError` or `ValueError` where nothing can be checked: it isn't a loss or metric, or the values are
    no examples.
    """
    if isinstance(thing, list | tuple | Mapping):
        raise TypeError(f"`{kind}` is {describe(thing)}, and one {kind} is expected.")
    check_terms(kind, kind, thing)
    if "sample_weight" in values:
        raise TypeError("Don't pass `sample_weight`: the laws choose weights themselves.")
    term = make_term(kind, thing, default_name(kind, thing))
    values = standing_alone(term.asking, (), values)
    wanted = term.asking.request
    examples = {k: v for k, v in values.items() if k in OF_EXAMPLES and v is not None}
    _check_examples(examples)
    if not examples and any(name in wanted for name in OF_EXAMPLES):
        asked = ", ".join(f"`{name}`" for name in OF_EXAMPLES if name in wanted)
        raise TypeError(f"{term.who} asks for {asked}: pass examples of these by name.")
    return Subject(
        term,
        reducer(term.reduction) if kind == "loss" else Mean.of,
        getattr(thing, "exempt_from", {}),
        any(isinstance(option, float) and math.isnan(option) for option in _options(thing)),
        examples,
        {k: v for k, v in values.items() if k not in examples},
    )


def _options(thing: object) -> Iterator[object]:
    """Yield what a loss or metric was made with, and what those were that it wraps."""
    for option in vars(thing).values() if is_term_object(thing) else ():
        yield option
        yield from _options(option)


def _check_examples(examples: dict[str, PyTree]) -> None:
    lengths: dict[str, int] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(examples):
        name = path[0].key + path_name(path[1:])
        if not is_arraylike(leaf) or leaf.ndim == 0:
            raise TypeError(f"`{name}` is {describe(leaf)}, and an array with an axis for the batch is expected.")
        lengths[name] = leaf.shape[0]
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{length} in `{name}`" for name, length in lengths.items())
        raise ValueError(f"All values are of the same examples, and there are {counts}.")
    if lengths and min(lengths.values()) < FEWEST:
        raise ValueError(f"At least {FEWEST} examples are needed, and got {min(lengths.values())}.")


def poisoned(examples: dict[str, PyTree], gone: np.ndarray) -> dict[str, PyTree]:
    """Return the examples with values that show where they are used for those that are `gone`: NaN, or no class."""

    def poison(leaf: jax.Array) -> jax.Array:
        at = gone.reshape(-1, *[1] * (leaf.ndim - 1))
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            return jnp.where(at, jnp.full_like(leaf, jnp.nan), leaf)
        return jnp.where(at, jnp.full_like(leaf, -7), leaf) if jnp.issubdtype(leaf.dtype, jnp.signedinteger) else leaf

    return jax.tree.map(poison, examples)


def repetitions(size: int) -> np.ndarray:
    """Return how often each example is there, some of them not at all: as many in all as there are examples."""
    return np.array(([2, 0, 1] * size)[: size - size % 3] + [1] * (size % 3))


def place(path: KeyPath) -> str:
    """Return where in the parts of a loss or metric something is; what isn't several parts is filed under no name."""
    return path_name(path[1:] if path and getattr(path[0], "key", None) == "" else path)


def differing(got: PyTree, expected: PyTree, rtol: float, atol: float) -> tuple[str, object, object] | None:
    """Return the first metric value that differs: its name, and what it is in both. `None` if all are the same."""
    here, there = (
        {place(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (got, expected)
    )

    def alike(a: np.ndarray, b: np.ndarray) -> bool:
        if a.shape != b.shape:
            return False
        return np.allclose(a.astype(np.float64), b.astype(np.float64), rtol, atol, equal_nan=True)

    for name, one, other in differences(here, there, alike):
        if one is None or other is None:
            return "", sorted(here), sorted(there)
        return (name, array_name(one), array_name(other)) if one.shape != other.shape else (name, one, other)
    return None
