"""Predictions of two classes that are kept as they are: between any two of them there is a threshold."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import integer
from .._accumulators._counting import histogram, weighted_at_all
from .._regression._pairs import Kept
from ._binary_counts import columns, is_binary

DEFAULT_THRESHOLDS = 200

as_capacity = integer("capacity", "the number of examples to make room for", least=1, optional=True)


def exact_histogram(
    pairs: Kept, *, per_class: bool, label_weights: Sequence[float] | None = None
) -> Float[Array, "2 buckets classes"]:
    """Return the histogram of `buckets` with a threshold below each prediction, and one above all of them.

    Equal predictions are in one bucket, so that what is made of it is exact, ties included. A class's is NaN where a
    label is neither 0 nor 1, or a prediction is NaN; that of all where there were more examples than there is room for.

    **Arguments:**

    - `pairs`: what was kept.
    - `per_class`: whether the last axis is that of the classes. If not, everything is counted as one class.
    - `label_weights`: weights along the last axis.
    """
    weights = pairs.weight
    if label_weights is not None:
        weights = weights * jnp.broadcast_to(jnp.asarray(label_weights, weights.dtype), weights.shape)
    y_true, y_pred, weights = (
        columns(a if a.ndim > 1 else a[:, None], None, per_class) for a in (pairs.y_true, pairs.y_pred, weights)
    )
    size = len(y_pred)
    # The rank of each prediction, that of the first of equal ones. The first bucket, and the last, are empty.
    rank = jax.vmap(lambda p: jnp.searchsorted(jnp.sort(p), p, side="left"), in_axes=1, out_axes=1)(y_pred)
    shape = (2, size + 2, y_pred.shape[1])
    positive, column = (y_true == 1).astype(jnp.int32), jax.lax.broadcasted_iota(jnp.int32, y_pred.shape, 1)
    bins = (positive * shape[1] + 1 + rank.astype(jnp.int32)) * shape[2] + column
    invalid = jnp.any(weighted_at_all(~is_binary(y_true) | jnp.isnan(y_pred), weights), axis=0) | pairs.full
    found = histogram(bins, shape, weights).compute()
    return jnp.where(invalid[None, None], jnp.full_like(found, jnp.nan), found)
