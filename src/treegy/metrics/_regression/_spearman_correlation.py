"""How monotonically labels and predictions depend on each other, by their ranks."""

import jax.numpy as jnp
from jaxtyping import Array

from .._accumulators._moments import Moments
from .._accumulators._value_of import ValueOf
from ._pairs import Kept, OfPairs, Pairs
from ._pearson_correlation import correlation_of


class SpearmanCorrelation(OfPairs):
    r"""The correlation of the ranks of labels and of predictions; equal ones share the mean of their ranks.

    It can't be had from sums: the values themselves are kept, of up to `capacity` examples, and within it the metric
    value is exact. More examples make it NaN, never a metric value of some of them; examples of weight 0 need no room.
    Memory and time of each step grow with the capacity.

    `y_true` and `y_pred` are real numbers of the same shape `(batch, ...)`: there is one value for each element of the
    other axes. An example counts as often as its weight says. The value is 0 where labels or predictions are all
    the same.

    **Raises:** `ValueError` where `capacity` is less than 1. [`treegy.ContractError`][] where the shapes differ, and
    where a batch has more examples than there is room for and no weights that could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        correlation = tg.metrics.SpearmanCorrelation(capacity=10)
        some = correlation(jnp.array([1.0, 2.0, 3.0]), jnp.array([5.0, 6.0, 7.0]))
        more = correlation(jnp.array([4.0, 5.0]), jnp.array([8.0, 7.0]))
        assert abs(float(some.merge(more)) - 0.82078) < 1e-5
        ```
    """

    def _metric_value(self, accumulated: Pairs) -> ValueOf:
        return ValueOf(accumulated, _spearman_correlation)


def _spearman_correlation(pairs: Kept) -> Array:
    return pairs.value(_rank_correlation)


def _rank_correlation(y_true: Array, y_pred: Array, weight: Array) -> Array:
    return correlation_of(Moments.of((ranks(y_true, weight), ranks(y_pred, weight)), weight).compute())


def ranks(values: Array, weight: Array) -> Array:
    """Return how much weight lies below each value, and half of that of its equals."""
    order = jnp.argsort(values)
    ordered = values[order]
    below = jnp.concatenate([jnp.zeros_like(weight[:1]), jnp.cumsum(weight[order])])
    first = jnp.searchsorted(ordered, values, side="left")
    last = jnp.searchsorted(ordered, values, side="right")
    return (below[first] + below[last]) / 2
