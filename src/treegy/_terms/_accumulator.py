r"""Accumulators: what figures are made of. The only place that averages, weights and masks.

An accumulator holds what is needed of some examples to give a figure over them, and merging two gives the
accumulator of all their examples:
$\text{compute}(\text{merge}(\text{of}(a), \text{of}(b))) = \text{compute}(\text{of}(a + b))$.
So a figure doesn't depend on how the examples were cut into batches.
"""

import abc
import functools
import operator
from collections import OrderedDict
from collections.abc import Container, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._describe import array_name, is_arraylike
from .._errors import ContractError


class Accumulator(eqx.Module):
    """What some examples contribute to a figure: a commutative monoid of arrays of fixed shapes.

    `merge` is associative and commutative with `empty()` as its identity, shapes and dtypes stay as they are, and all
    three methods can be traced.
    """

    merges_parts: ClassVar[bool] = False
    """Whether all that it holds are other accumulators, which `merge` and `empty` pass on one by one. Equal ones among
    these are then kept once, whatever each is a figure of."""

    @abc.abstractmethod
    def empty(self) -> Any:
        """The accumulator of no examples, of the same shapes: `merge` with it changes nothing."""

    @abc.abstractmethod
    def merge(self, other: Any) -> Any:
        """The accumulator of the examples of both."""

    @abc.abstractmethod
    def compute(self) -> Any:
        """The figure: an array, usually a scalar; or a dict of several, which are logged under their names."""

    def __float__(self) -> float:
        return float(self.compute())


class Masked(eqx.Module):
    """Values of which some don't count: neither in the numerator nor in the denominator.

    What `call` of a loss or metric may return instead of plain values.
    """

    values: Any
    mask: Any

    def __init__(self, values: Any, mask: Any):
        """**Arguments:**

        - `values`: per-example values `(batch, ...)`.
        - `mask`: booleans `(batch, ...)`, true where the value counts; lines up with the leading axes of `values`.
        """
        self.values = values
        self.mask = mask


def accumulation_dtype(*dtypes: Any) -> Any:
    """The dtype in which values of all `dtypes` are summed: at least float32."""
    inexact = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.inexact)]
    # A conversion that is meant, also where JAX was told to refuse those that aren't.
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, inexact, jnp.dtype(jnp.float32))


def as_summand(values: Any) -> Array:
    """`values` as an array in the dtype in which it is summed."""
    values = jnp.asarray(values)
    return values.astype(accumulation_dtype(values.dtype))


def lined_up(by: Array, values: Array, name: str) -> Array:
    """`by` `(batch, ...)` with trailing axes of length 1, so that it lines up with the leading axes of `values`.

    **Raises:** [`treegy.ContractError`][] where the axes differ. Nothing is broadcast along a leading axis.
    """
    if by.ndim > values.ndim or by.shape != values.shape[: by.ndim]:
        raise ContractError(
            f"`{name}` {array_name(by)} doesn't line up with the values {array_name(values)}: its axes must be "
            f"the leading axes of the values{_squeeze_hint(by, values, name)}."
        )
    return by.reshape(by.shape + (1,) * (values.ndim - by.ndim))


def _squeeze_hint(by: Array, values: Array, name: str) -> str:
    if by.ndim > 1 and by.shape[-1] == 1 and by.shape[:-1] == values.shape[: by.ndim - 1]:
        return f". Pass `{name}[..., 0]`"
    return ""


def weigh(values: Any, weight: Any = None, mask: Any = None) -> tuple[Array, Array, Array]:
    """Values, their weights and whether they count, all of the values' shape.

    A value of weight zero, or that is masked, becomes zero even if it was NaN: it is selected away, not multiplied.
    """
    values = as_summand(values)
    weights = jnp.ones_like(values)
    counts = jnp.ones(values.shape, bool)
    if mask is not None:
        mask = jnp.asarray(mask)
        counts = counts & lined_up(mask.astype(bool), values, "mask")
        weights = jnp.where(counts, weights, jnp.zeros_like(weights))
    if weight is not None:
        weight = jnp.asarray(weight).astype(values.dtype)
        weights = weights * lined_up(weight, values, "sample_weight")
    if mask is not None or weight is not None:
        weighted = jnp.where(weights != 0, values, jnp.zeros_like(values)) * weights
    else:
        weighted = values
    return weighted, weights, counts


def cleared(examples: Any, weight: Any) -> Any:
    """Return `examples` with 0 for what isn't finite where the weight is 0.

    The value of such an example is selected away, but differentiating it would still give 0 times NaN. Where the
    weights have more axes than line up with an array, what they are about is absent if all of them are 0.
    """
    absent = jnp.logical_not(weight)

    def clear(leaf: Any) -> Any:
        if not is_arraylike(leaf) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        pairs = zip(leaf.shape, absent.shape, strict=False)
        shared = next((i for i, (a, b) in enumerate(pairs) if a != b), min(leaf.ndim, absent.ndim))
        if shared == 0:
            return leaf
        gone = jnp.all(absent, axis=tuple(range(shared, absent.ndim)))
        gone = gone.reshape(gone.shape + (1,) * (leaf.ndim - shared))
        return jnp.where(gone & ~jnp.isfinite(leaf), jnp.zeros_like(leaf), leaf)

    return jax.tree.map(clear, examples)


def cleared_where_unweighted(examples: Any, weights: Any) -> Any:
    """Return `examples` with 0 for what isn't finite where every one of `weights`, a PyTree of them, is 0."""
    leaves = [jnp.asarray(w) for w in jax.tree.leaves(weights) if is_arraylike(w) and len(w.shape) > 0]
    if not leaves or any(leaf.shape[0] != leaves[0].shape[0] for leaf in leaves):
        return examples
    if len(leaves) == 1:
        return cleared(examples, leaves[0])
    present = [jnp.any(leaf.astype(bool), axis=tuple(range(1, leaf.ndim))) for leaf in leaves]
    return cleared(examples, functools.reduce(operator.or_, present))


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """The quotient, and 0 where the denominator is 0, with finite gradients there."""
    zero = denominator == 0
    return jnp.where(
        zero, jnp.zeros_like(numerator), numerator / jnp.where(zero, jnp.ones_like(denominator), denominator)
    )


def _add(a: Array, a_rest: Array, b: Array, b_rest: Array) -> tuple[Array, Array]:
    """The sum of two numbers that each are kept as a rounded value and what the rounding left over.

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


class Sum(Accumulator):
    r"""A sum, $\sum_i w_i v_i$.

    **Fields:** `total`, and in `rest` what rounding left over of it.
    """

    total: Array
    rest: Array

    def __init__(self, total: Any, rest: Any = None):
        """**Arguments:**

        - `total`: the sum so far: of any shape, in which case sums are elementwise.
        - `rest`: what rounding left over of it; nothing by default.
        """
        self.total = as_summand(total)
        self.rest = jnp.zeros_like(self.total) if rest is None else rest

    @staticmethod
    def of(values: Any, weight: Any = None, mask: Any = None) -> "Sum":
        """The sum of all `values`.

        **Arguments:**

        - `values`: `(batch, ...)`.
        - `weight`, `mask`: `(batch, ...)`, lining up with the leading axes of `values`.

        **Raises:** [`treegy.ContractError`][] where the axes don't line up.
        """
        weighted, _, _ = weigh(values, weight, mask)
        return Sum(jnp.sum(weighted))

    def times(self, factor: Any) -> "Sum":
        """The sum of all values times a number."""
        factor = jnp.asarray(factor).astype(self.total.dtype)
        return Sum(self.total * factor, self.rest * factor)

    def empty(self) -> "Sum":
        return Sum(jnp.zeros_like(self.total))

    def merge(self, other: Any) -> "Sum":
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

    def __init__(self, total: Any, count: Any, rest: Any = None):
        """**Arguments:**

        - `total`: the numerator: of any shape, in which case means are elementwise.
        - `count`: the denominator: a scalar, or of the shape of `total`.
        - `rest`: what rounding left over of both; nothing by default.
        """
        self.total = as_summand(total)
        self.count = as_summand(count).astype(self.total.dtype)
        self.rest = (jnp.zeros_like(self.total), jnp.zeros_like(self.count)) if rest is None else rest

    @staticmethod
    def of(values: Any, weight: Any = None, mask: Any = None) -> "Mean":
        """The mean of all `values`, over every axis.

        **Arguments:**

        - `values`: `(batch, ...)`.
        - `weight`, `mask`: `(batch, ...)`, lining up with the leading axes of `values`.

        **Raises:** [`treegy.ContractError`][] where the axes don't line up.
        """
        weighted, weights, _ = weigh(values, weight, mask)
        return Mean(jnp.sum(weighted), jnp.sum(weights))

    @staticmethod
    def of_examples(values: Any, weight: Any = None, mask: Any = None) -> "Mean":
        r"""The mean in which a weight doesn't count in the denominator, $\frac{1}{N}\sum_i w_i v_i$.

        $N$ is the number of values that aren't masked. The arguments are those of [`treegy.Mean.of`][].
        """
        weighted, _, counts = weigh(values, weight, mask)
        return Mean(jnp.sum(weighted), jnp.sum(counts))

    @staticmethod
    def of_batch(value: Any, size: Any) -> "Mean":
        """The mean of a figure that is known for a whole batch only, counted once for each of its examples.

        **Arguments:**

        - `value`: a number, or an array whose mean is taken elementwise.
        - `size`: how many examples it stands for.
        """
        value = as_summand(value)
        size = jnp.asarray(size, value.dtype)
        return Mean(value * size, size)

    def times(self, factor: Any) -> "Mean":
        """The mean of all values times a number: it multiplies the numerator."""
        factor = jnp.asarray(factor).astype(self.total.dtype)
        return Mean(self.total * factor, self.count, (self.rest[0] * factor, self.rest[1]))

    def empty(self) -> "Mean":
        return Mean(jnp.zeros_like(self.total), jnp.zeros_like(self.count))

    def merge(self, other: Any) -> "Mean":
        total, total_rest = _add(self.total, self.rest[0], other.total, other.rest[0])
        count, count_rest = _add(self.count, self.rest[1], other.count, other.rest[1])
        return Mean(total, count, (total_rest, count_rest))

    def compute(self) -> Array:
        return safe_divide(self.total + self.rest[0], self.count + self.rest[1])


class Scaled(Accumulator):
    r"""Another figure times a number, $w \cdot \text{compute}$."""

    part: Any
    weight: Array

    def __init__(self, part: Accumulator, weight: Any):
        """**Arguments:**

        - `part`: the accumulator of the figure.
        - `weight`: a number.
        """
        self.part = part
        self.weight = as_summand(weight)

    def empty(self) -> "Scaled":
        return Scaled(self.part.empty(), jnp.zeros_like(self.weight))

    def merge(self, other: Any) -> "Scaled":
        # `empty()` has weight 0, so that it is an identity also where it was made from shapes alone.
        weight = jnp.where(self.weight == 0, other.weight, self.weight)
        return Scaled(self.part.merge(other.part), weight)

    def compute(self) -> Array:
        return self.weight * self.part.compute()


class Total(Accumulator):
    r"""A sum of figures, $\sum_k \text{compute}_k$: the loss that a model is trained on."""

    parts: tuple[Any, ...]

    merges_parts: ClassVar[bool] = True

    def __init__(self, parts: Any):
        """**Arguments:**

        - `parts`: the accumulators of the figures, at least one.
        """
        self.parts = tuple(parts)

    def empty(self) -> "Total":
        return Total(part.empty() for part in self.parts)

    def merge(self, other: Any) -> "Total":
        return Total(a.merge(b) for a, b in zip(self.parts, other.parts, strict=True))

    def compute(self) -> Array:
        return functools.reduce(operator.add, (part.compute() for part in self.parts))


def is_accumulator(value: Any) -> bool:
    return isinstance(value, Accumulator)


def compute_all(accumulators: Any) -> Any:
    """The figures of every accumulator in a PyTree; of a mapping, by names: those of several figures get prefixes."""
    figures = jax.tree.map(lambda a: a.compute(), accumulators, is_leaf=is_accumulator)
    return _named(figures) if isinstance(accumulators, Mapping) else figures


def _named(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    if not any(isinstance(figure, Mapping) for figure in figures.values()):
        return figures
    flat: OrderedDict[str, Any] = OrderedDict()
    for name, figure in figures.items():
        several = _named(figure) if isinstance(figure, Mapping) else {"": figure}
        for part, one in several.items():
            full = unique("/".join(p for p in (name, part) if p), {*flat, *figures} - {name})
            flat[full] = one
    return flat


def unique(name: str, taken: Container[str]) -> str:
    """`name`, or where that is taken the first of `name_1`, `name_2`, ... that isn't."""
    candidate, n = name, 0
    while candidate in taken:
        n += 1
        candidate = f"{name}_{n}"
    return candidate


def merge_all(a: Any, b: Any) -> Any:
    """Two PyTrees of accumulators, merged one by one."""
    return jax.tree.map(lambda x, y: x.merge(y), a, b, is_leaf=is_accumulator)
