"""How monotonically labels and predictions depend on each other, by pairs of examples."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import OneOf
from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Kept, OfPairs, Pairs

Variant: TypeAlias = Literal["a", "b", "c"]

_as_variant = OneOf[Variant]("variant", "a", "b", "c")


class KendallCorrelation(OfPairs):
    r"""Kendall's $\tau$: how many more pairs of examples have labels and predictions in the same order than in the
    opposite one.

    With $S$ the difference of the two numbers of pairs, and $n$ examples, it is

    - $S / \sqrt{n_y n_{\hat y}}$ for the variant `"b"`, where $n_y$ is the number of pairs whose labels differ and
        $n_{\hat y}$ that of those whose predictions do;
    - $2 S / (n (n - 1))$ for `"a"`;
    - $2 m S / (n^2 (m - 1))$ for `"c"`, where $m$ is the smaller one of the numbers of different labels and of
        different predictions.

    It can't be had from sums: the values themselves are kept, of up to `capacity` examples, and within it the metric
    value is exact. More examples make it NaN, never a metric value of some of them; examples of weight 0 need no room.
    Memory grows with the capacity, and the time that it takes to compute with its square. In a model,
    [`treegy.metrics.SpearmanCorrelation`][] of the same capacity shares what is kept.

    `y_true` and `y_pred` are real numbers of the same shape `(batch, ...)`: there is one value for each element of the
    other axes. An example counts as often as its weight says. The value is 0 where labels or predictions are all
    the same.

    **Raises:** `ValueError` where `capacity` is less than 1, or there is no such `variant`. [`treegy.ContractError`][]
    where the shapes differ, and where a batch has more examples than there is room for and no weights that could take
    any out.

    ??? cite

        Kendall, *The Treatment of Ties in Ranking Problems*, Biometrika 33 (1945).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        tau = tg.metrics.KendallCorrelation(capacity=10)
        some = tau(jnp.array([1.0, 2.0, 3.0]), jnp.array([5.0, 6.0, 7.0]))
        more = tau(jnp.array([4.0, 5.0]), jnp.array([9.0, 8.0]))
        assert abs(float(some.merge(more)) - 0.8) < 1e-6
        ```
    """

    variant: Variant = eqx.field(default="b", kw_only=True, static=True, converter=_as_variant)
    """`"a"`, `"b"` or `"c"`: how pairs of equal values count."""

    def _metric_value(self, accumulated: Pairs) -> ValueOf:
        return ValueOf(accumulated, _kendall_correlation, variant=self.variant)


def _kendall_correlation(pairs: Kept, variant: Variant) -> Array:
    return pairs.value(lambda y_true, y_pred, weight: _tau(y_true, y_pred, weight, variant))


# Rows of the matrix of all pairs that are there at once.
_ROWS = 64


def _tau(y_true: Array, y_pred: Array, weight: Array, variant: Variant) -> Array:
    place = jnp.arange(len(weight))
    here = weight != 0

    def row(i: Array) -> tuple[Array, ...]:
        """Return sums over the others of what example `i` is to them, and whether it is the first of its value."""
        of_labels, of_predictions = (
            (values[i] > values).astype(weight.dtype) - (values[i] < values).astype(weight.dtype)
            for values in (y_true, y_pred)
        )
        sums = [
            jnp.sum(weight * of) for of in (of_labels * of_predictions, jnp.abs(of_labels), jnp.abs(of_predictions))
        ]
        before = here & (place < i)
        new = [here[i] & ~jnp.any(before & (of == 0)) for of in (of_labels, of_predictions)]
        return *sums, *(each.astype(weight.dtype) for each in new)

    rows = jax.lax.map(row, place, batch_size=min(_ROWS, len(weight)))
    # Each pair is there twice.
    surplus, of_labels, of_predictions = (jnp.sum(weight * each) / 2 for each in rows[:3])
    total = jnp.sum(weight)
    if variant == "a":
        return safe_divide(surplus, total * (total - 1) / 2)
    if variant == "c":
        values = jnp.minimum(jnp.sum(rows[3]), jnp.sum(rows[4]))
        return safe_divide(2 * values * surplus, total**2 * (values - 1))
    return jnp.clip(safe_divide(surplus, jnp.sqrt(of_labels) * jnp.sqrt(of_predictions)), -1, 1)
