"""Pairs of examples: in how many the two are together by their classes, and by their clusters."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import safe_divide


class PairShares(NamedTuple):
    """Shares of all pairs of examples; all 0 where there are less than two examples."""

    in_both: Array
    """Of the same class and in the same cluster."""
    in_cluster: Array
    """In the same cluster, though of different classes."""
    in_class: Array
    """Of the same class, though in different clusters."""
    apart: Array
    """In neither."""

    @staticmethod
    def of(table: Float[Array, "classes clusters"]) -> "PairShares":
        """Return the shares of a contingency table. An example counts as often as its weight says."""
        total = jnp.sum(table)
        shares = safe_divide(table, jnp.broadcast_to(total, table.shape))
        # Sums of what isn't negative. Squares of sums minus sums of squares would lose what is small.
        other_classes, other_clusters = _others(len(table), table), _others(table.shape[1], table)
        same_cluster, same_class = _times(other_classes, shares), _times(shares, other_clusters)
        in_both = jnp.sum(shares * safe_divide(jnp.maximum(table - 1, 0), jnp.broadcast_to(total, table.shape)))
        in_cluster, in_class = jnp.sum(shares * same_cluster), jnp.sum(shares * same_class)
        apart = jnp.sum(shares * _times(same_cluster, other_clusters))
        all_pairs = in_both + in_cluster + in_class + apart
        return PairShares(*(safe_divide(part, all_pairs) for part in (in_both, in_cluster, in_class, apart)))


def _others(length: int, like: Array) -> Array:
    return 1 - jnp.eye(length, dtype=like.dtype)


def _times(a: Array, b: Array) -> Array:
    # By default some accelerators multiply matrices with a mantissa of ten bits.
    return jnp.matmul(a, b, precision="highest")
