r"""Accumulators: what metric values are made of. The only place that averages, weights and masks.

An accumulator holds what is needed of some examples to give a metric value over them, and merging two gives the
accumulator of all their examples:
$\text{compute}(\text{merge}(\text{of}(a), \text{of}(b))) = \text{compute}(\text{of}(a + b))$.
So a metric value doesn't depend on how the examples were cut into batches.
"""

import abc
import functools
import operator
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._types import PyTree, Values
from ._weights import as_summand, weigh

if TYPE_CHECKING:
    from typing import Self
else:  # it breaks under jaxtyping's import hook with beartype
    Self = Any


class Accumulator(eqx.Module):
    """What some examples contribute to a metric value: a commutative monoid of arrays of fixed shapes.

    `merge` is associative and commutative with `empty()` as its identity, shapes and dtypes stay as they are, and all
    three methods can be traced.
    """

    merges_parts: ClassVar[bool] = False
    """Whether all that it holds are other accumulators, which `merge` and `empty` pass on one by one. Equal ones among
    these are then kept once, whatever each is a metric value of."""

    @abc.abstractmethod
    def empty(self) -> Self:
        """Return the accumulator of no examples, of the same shapes: `merge` with it changes nothing."""

    # `other` is of the same class. Type checkers would refuse an override that says so, if it were said here.
    @abc.abstractmethod
    def merge(self, other: Any) -> Self:
        """Return the accumulator of the examples of both."""

    @abc.abstractmethod
    def compute(self) -> PyTree:
        """Return the metric value: an array, usually a scalar; or a dict of several, logged under their names."""

    def __float__(self) -> float:
        return float(self.compute())


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """Return the quotient, and 0 where the denominator is 0, with finite gradients there."""
    zero = denominator == 0
    return jnp.where(
        zero, jnp.zeros_like(numerator), numerator / jnp.where(zero, jnp.ones_like(denominator), denominator)
    )


def _added(a: Array, a_rest: Array, b: Array, b_rest: Array) -> tuple[Array, Array]:
    """Return the sum of two numbers that each are kept as a rounded value and what the rounding left over.

    Error-free transformation of Knuth, *The Art of Computer Programming* 2, §4.2.2: with the rest, a sum of float32
    is about as exact as one of float64, so that long epochs lose nothing.
    """
    total = a + b
    virtual = total - a
    lost = (a - (total - virtual)) + (b - virtual)
    rest = a_rest + b_rest + jnp.where(jnp.isfinite(lost), lost, jnp.zeros_like(lost))
    rounded = total + rest
    left = rest - (rounded - total)
    finite = jnp.isfinite(left)
    return jnp.where(finite, rounded, total), jnp.where(finite, left, jnp.zeros_like(left))


def _added_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[PyTree, PyTree]:
    tangent = functools.reduce(operator.add, tangents)
    return _added(*primals), (tangent, jnp.zeros_like(tangent))


# What rounding left over is no function of the numbers: a sum grows as they do. No decorator: what `beartype.claw` puts
# around a decorated function has no `defjvp`.
_add = jax.custom_jvp(_added)
_add.defjvp(_added_jvp)


class Sum(Accumulator):
    r"""A sum, $\sum_i w_i v_i$.

    **Fields:** `total`, and in `rest` what rounding left over of it.
    """

    total: Array
    rest: Array

    def __init__(self, total: ArrayLike, rest: Array | None = None):
        """**Arguments:**

        - `total`: the sum so far: of any shape, in which case sums are elementwise.
        - `rest`: what rounding left over of it; nothing by default.
        """
        self.total = as_summand(total)
        self.rest = jnp.zeros_like(self.total) if rest is None else rest

    @staticmethod
    def of(values: ArrayLike, weight: ArrayLike | None = None, mask: ArrayLike | None = None) -> "Sum":
        """Return the sum of all `values`.

        **Arguments:**

        - `values`: `(batch, ...)`.
        - `weight`, `mask`: `(batch, ...)`, lining up with the leading axes of `values`.

        **Raises:** [`treegy.ContractError`][] where the axes don't line up.
        """
        weighted, _, _ = weigh(values, weight, mask)
        return Sum(jnp.sum(weighted))

    def times(self, factor: ArrayLike) -> "Sum":
        """Return the sum of all values times a number."""
        factor = jnp.asarray(factor).astype(self.total.dtype)
        return Sum(self.total * factor, self.rest * factor)

    def empty(self) -> "Sum":
        return Sum(jnp.zeros_like(self.total))

    def merge(self, other: "Sum") -> "Sum":
        return Sum(*_add(self.total, self.rest, other.total, other.rest))

    def compute(self) -> Array:
        return self.total + self.rest


class Mean(Accumulator):
    r"""A weighted mean, $\sum_i w_i v_i / \sum_i w_i$; 0 where the weights sum to 0.

    **Fields:** `total`, the numerator; `count`, the denominator; `rest`, what rounding left over of the two.
    """

    total: Array
    count: Array
    rest: tuple[Array, Array]

    def __init__(self, total: ArrayLike, count: ArrayLike, rest: tuple[Array, Array] | None = None):
        """**Arguments:**

        - `total`: the numerator: of any shape, in which case means are elementwise.
        - `count`: the denominator: a scalar, or of the shape of `total`.
        - `rest`: what rounding left over of both; nothing by default.
        """
        self.total = as_summand(total)
        self.count = as_summand(count).astype(self.total.dtype)
        self.rest = (jnp.zeros_like(self.total), jnp.zeros_like(self.count)) if rest is None else rest

    @staticmethod
    def of(values: ArrayLike, weight: ArrayLike | None = None, mask: ArrayLike | None = None) -> "Mean":
        """Return the mean of all `values`, over every axis.

        **Arguments:**

        - `values`: `(batch, ...)`.
        - `weight`, `mask`: `(batch, ...)`, lining up with the leading axes of `values`.

        **Raises:** [`treegy.ContractError`][] where the axes don't line up.
        """
        weighted, weights, _ = weigh(values, weight, mask)
        return Mean(jnp.sum(weighted), jnp.sum(weights))

    @staticmethod
    def of_examples(values: ArrayLike, weight: ArrayLike | None = None, mask: ArrayLike | None = None) -> "Mean":
        r"""Return the mean in which a weight doesn't count in the denominator, $\frac{1}{N}\sum_i w_i v_i$.

        $N$ is the number of values that aren't masked. The arguments are those of [`treegy.Mean.of`][].
        """
        weighted, _, counts = weigh(values, weight, mask)
        return Mean(jnp.sum(weighted), jnp.sum(counts))

    @staticmethod
    def of_batch(value: ArrayLike, size: ArrayLike) -> "Mean":
        """Return the mean of a metric value known for a whole batch only, counted once for each of its examples.

        **Arguments:**

        - `value`: a number, or an array whose mean is taken elementwise.
        - `size`: how many examples it stands for.
        """
        value = as_summand(value)
        size = jnp.asarray(size, value.dtype)
        return Mean(value * size, size)

    def times(self, factor: ArrayLike) -> "Mean":
        """Return the mean of all values times a number: it multiplies the numerator."""
        factor = jnp.asarray(factor).astype(self.total.dtype)
        return Mean(self.total * factor, self.count, (self.rest[0] * factor, self.rest[1]))

    def empty(self) -> "Mean":
        return Mean(jnp.zeros_like(self.total), jnp.zeros_like(self.count))

    def merge(self, other: "Mean") -> "Mean":
        total, total_rest = _add(self.total, self.rest[0], other.total, other.rest[0])
        count, count_rest = _add(self.count, self.rest[1], other.count, other.rest[1])
        return Mean(total, count, (total_rest, count_rest))

    def compute(self) -> Array:
        return safe_divide(self.total + self.rest[0], self.count + self.rest[1])


class Scaled(Accumulator):
    r"""Another metric value times a number, $w \cdot \text{compute}$."""

    part: Accumulator
    weight: Array

    def __init__(self, part: Accumulator, weight: ArrayLike):
        """**Arguments:**

        - `part`: the accumulator of the metric value.
        - `weight`: a number.
        """
        self.part = part
        self.weight = as_summand(weight)

    def empty(self) -> "Scaled":
        return Scaled(self.part.empty(), jnp.zeros_like(self.weight))

    def merge(self, other: "Scaled") -> "Scaled":
        # `empty()` has weight 0, so that it is an identity also where it was made from shapes alone.
        weight = jnp.where(self.weight == 0, other.weight, self.weight)
        return Scaled(self.part.merge(other.part), weight)

    def compute(self) -> Array:
        return self.weight * self.part.compute()


class Total(Accumulator):
    r"""A sum of metric values, $\sum_k \text{compute}_k$: the loss that a model is trained on."""

    parts: tuple[Accumulator, ...]

    merges_parts: ClassVar[bool] = True

    def __init__(self, parts: Iterable[Accumulator]):
        """**Arguments:**

        - `parts`: the accumulators of the metric values, at least one.
        """
        self.parts = tuple(parts)

    def empty(self) -> "Total":
        return Total(part.empty() for part in self.parts)

    def merge(self, other: "Total") -> "Total":
        return Total(a.merge(b) for a, b in zip(self.parts, other.parts, strict=True))

    def compute(self) -> Array:
        return functools.reduce(operator.add, (part.compute() for part in self.parts))


def is_accumulator(value: object) -> bool:
    return isinstance(value, Accumulator)


def compute_all(accumulators: PyTree) -> PyTree:
    """Compute every accumulator in a PyTree; in a mapping, names of those with several values get prefixes."""
    metric_values = jax.tree.map(lambda a: a.compute(), accumulators, is_leaf=is_accumulator)
    return _named(metric_values) if isinstance(accumulators, Mapping) else metric_values


def _named(metric_values: Values) -> Values:
    if not any(isinstance(metric_value, Mapping) for metric_value in metric_values.values()):
        return metric_values
    flat: OrderedDict[str, Any] = OrderedDict()
    for name, metric_value in metric_values.items():
        several = _named(metric_value) if isinstance(metric_value, Mapping) else {"": metric_value}
        for part, one in several.items():
            full = unique("/".join(p for p in (name, part) if p), {*flat, *metric_values} - {name})
            flat[full] = one
    return flat


def unique(name: str, taken: Container[str]) -> str:
    """`name`, or where that is taken the first of `name_1`, `name_2`, ... that isn't."""
    candidate, n = name, 0
    while candidate in taken:
        n += 1
        candidate = f"{name}_{n}"
    return candidate


def merge_all(a: PyTree, b: PyTree) -> PyTree:
    """Two PyTrees of accumulators, merged one by one."""
    return jax.tree.map(lambda x, y: x.merge(y), a, b, is_leaf=is_accumulator)
