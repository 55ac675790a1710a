"""n-grams that two sequences have in common."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..._terms._accumulator import Sum
from ..._terms._weights import weigh
from ._tokens import Tokens


class NGrams(NamedTuple):
    """Counts of the n-grams of each sequence, for n from 1 on."""

    matches: Int[Array, "batch n"]
    """How many of the predicted ones are there too, each as often as there at most."""
    predicted: Int[Array, "batch n"]
    true: Int[Array, "batch n"]


def n_grams(true: Tokens, predicted: Tokens, n: int) -> NGrams:
    """Return counts of n-grams of up to `n` ids. In `O(length²)` per sequence, exactly: nothing is hashed."""
    across, within = _same(predicted, true), _same(predicted, predicted)
    equal, own = across, within
    matches: list[Array] = []
    for order in range(1, n + 1):
        if order > 1:
            # n-grams are equal where their first ids are, and the shorter ones that begin at the next place.
            equal, own = across & _next(equal), within & _next(own)
        # A predicted n-gram matches unless it has come before as often as there are right ones.
        length = predicted.ids.shape[1]
        until = jnp.tril(jnp.ones((length, length), bool))
        times = jnp.sum(own & until[None], axis=2, dtype=jnp.int32)
        there = jnp.sum(equal, axis=2, dtype=jnp.int32)
        matches.append(jnp.sum((times <= there) & (times > 0), axis=1, dtype=jnp.int32))
    orders = jnp.arange(n, dtype=jnp.int32)[None]
    counts = (jnp.maximum(each.counts[:, None] - orders, 0) for each in (predicted, true))
    return NGrams(jnp.stack(matches, axis=1), *counts)


def _same(a: Tokens, b: Tokens) -> Bool[Array, "batch m n"]:
    """Return which ids of `a` equal which of `b`; those that aren't there equal nothing."""
    return (a.ids[:, :, None] == b.ids[:, None, :]) & a.present[:, :, None]


def _next(equal: Bool[Array, "batch m n"]) -> Bool[Array, "batch m n"]:
    """Return what is true of both next places."""
    return jnp.pad(equal[:, 1:, 1:], ((0, 0), (0, 1), (0, 1)))


def summed(statistics: Array, sample_weight: Array | None) -> Sum:
    """Return the weighted sum over sequences of statistics `(batch, k)`: of the shape `(k,)`."""
    return Sum(jnp.sum(weigh(statistics, sample_weight)[0], axis=0))
