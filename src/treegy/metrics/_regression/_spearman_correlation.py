"""How monotonically labels and predictions depend on each other."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Accumulator
from ..._terms._elementwise import matched
from ..._terms._metric import Metric
from ..._terms._weights import lined_up
from .._accumulators._moments import Moments
from ._pearson_correlation import correlation_of


class Pairs(Accumulator):
    """Labels, predictions and weights of up to `capacity` examples, as they are: ranks are known at the end only.

    Those that are there stand at the front of the buffers `(capacity, ...)`, in the order in which they came.
    """

    y_true: Array
    y_pred: Array
    weight: Array
    count: Array
    """How many there are. One more than the capacity stands for any number that is too many."""

    def empty(self) -> "Pairs":
        return jax.tree.map(jnp.zeros_like, self)

    def merge(self, other: "Pairs") -> "Pairs":
        capacity = len(self.weight)
        end = jnp.minimum(self.count, capacity).astype(jnp.int32)

        def joined(mine: Array, theirs: Array) -> Array:
            room = jnp.concatenate([mine, jnp.zeros_like(theirs)])
            return jax.lax.dynamic_update_slice_in_dim(room, theirs, end, axis=0)[:capacity]

        return Pairs(
            joined(self.y_true, other.y_true),
            joined(self.y_pred, other.y_pred),
            joined(self.weight, other.weight),
            jnp.minimum(self.count + other.count, capacity + 1),
        )

    def compute(self) -> Array:
        correlation = _by_element(_rank_correlation)(self.y_true, self.y_pred, self.weight)
        return jnp.where(self.count > len(self.weight), jnp.nan, correlation)


def _by_element(fn: Callable[..., Array]) -> Callable[..., Array]:
    """Return `fn` of one-dimensional arrays, for each element of the axes after the first."""

    def over(*arrays: Array) -> Array:
        shape = arrays[0].shape
        metric_values = jax.vmap(fn, in_axes=1)(*(a.reshape(shape[0], -1) for a in arrays))
        return metric_values.reshape(shape[1:])

    return over


def _rank_correlation(y_true: Array, y_pred: Array, weight: Array) -> Array:
    ranks = Moments.of((_ranks(y_true, weight), _ranks(y_pred, weight)), weight)
    unordered = jnp.any((jnp.isnan(y_true) | jnp.isnan(y_pred)) & (weight != 0))
    return jnp.where(unordered, jnp.nan, correlation_of(ranks.compute()))


def _ranks(values: Array, weight: Array) -> Array:
    """Return how much weight lies below each value, and half of that of its equals."""
    order = jnp.argsort(values)
    ordered = values[order]
    below = jnp.concatenate([jnp.zeros_like(weight[:1]), jnp.cumsum(weight[order])])
    first = jnp.searchsorted(ordered, values, side="left")
    last = jnp.searchsorted(ordered, values, side="right")
    return (below[first] + below[last]) / 2


class SpearmanCorrelation(Metric):
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

    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of examples to make room for", least=1),
    )
    """How many examples there is room for."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Pairs:
        y_true, y_pred = matched(y_true, y_pred)
        if y_pred.ndim == 0:
            raise ContractError(f"`y_pred` {array_name(y_pred)} has no axis of examples.")
        size = len(y_pred)
        if sample_weight is None and size > self.capacity:
            raise ContractError(
                f"{size} examples are more than there is room for: pass `capacity=` at least the number of all "
                f"examples of an epoch, instead of {self.capacity}."
            )
        weight = jnp.ones_like(y_pred)
        if sample_weight is not None:
            weight = weight * lined_up(sample_weight.astype(weight.dtype), weight, "sample_weight")
        counted = jnp.any((weight != 0).reshape(size, -1), axis=1)
        front = jnp.argsort(~counted, stable=True)

        def fitted(values: Array) -> Array:
            values = jnp.where(weight != 0, values, jnp.zeros_like(values))[front][: self.capacity]
            return jnp.concatenate([values, jnp.zeros((self.capacity - len(values), *values.shape[1:]), values.dtype)])

        count = jnp.minimum(jnp.sum(counted, dtype=jnp.int32), self.capacity + 1)
        return Pairs(fitted(y_true), fitted(y_pred), fitted(weight), count.astype(y_pred.dtype))
