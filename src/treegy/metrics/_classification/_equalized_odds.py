"""How far groups are from being predicted equally right."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._converters import OneOf
from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._metric import Metric
from .._accumulators._shared import Derived, Source
from .._accumulators._value_of import ValueOf
from ._between_groups import BetweenGroups, apart
from ._binary_counts import Counts, counts_at

Agg: TypeAlias = Literal["worst_case", "mean"]

_as_agg = OneOf[Agg]("agg", "worst_case", "mean")


class _Counts(Derived):
    """The counts of right and wrong predictions."""

    threshold: ArrayLike

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return counts_at(self.threshold)

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _as_they_are)


def _as_they_are(counts: Array) -> Array:
    return counts


class EqualizedOdds(BetweenGroups):
    r"""How far groups are from being predicted equally right: of the true positive rate $TP / (TP + FN)$ and of the
    false positive rate $FP / (FP + TN)$, the largest in a group minus the smallest; and of the two differences the
    larger. With `ratio=True`, the smallest rate divided by the largest, and of the two ratios the smaller.

    0 is the best difference, and 1 the best ratio: that is what there is, too, of a rate that is 0 in all groups, and
    where there are no examples. As in fairlearn, the true positive rate of a group without positive labels is 0, and so
    is the false positive rate of one without negative labels; groups without examples don't count.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. `by` says which group an example is
    of, as in [`treegy.metrics.ByGroup`][]. Counts are weighted, and exact however long the epoch. A label that is
    neither 0 nor 1, a prediction that is NaN, or a group that there isn't, makes the metric value NaN.

    **Raises:** `TypeError` where `by` is neither a name nor a function, `ValueError` where `num_groups` is less than 2,
    or `agg` is unknown. [`treegy.ContractError`][] where the shapes differ, or `by` doesn't give an integer for each
    example.

    ??? cite "Reference"

        Hardt et al., *Equality of opportunity in supervised learning*, 2016.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        odds = tg.metrics.EqualizedOdds(by=lambda x: x["sex"], num_groups=2)
        y_true, y_pred = jnp.array([0, 1, 0, 1, 1]), jnp.array([0.1, 0.9, 0.2, 0.8, 0.3])
        assert float(odds(y_true, y_pred, x={"sex": jnp.array([0, 0, 1, 1, 1])})) == 0.5
        ```
    """

    # Static, since it belongs to what is made of the counts.
    agg: Agg = eqx.field(default="worst_case", kw_only=True, static=True, converter=_as_agg)
    """`"worst_case"` for the worse of the two rates, `"mean"` for the mean of both."""

    def _counts(self) -> Metric:
        return _Counts(self.threshold, name="counts_of_groups")

    def _value(self, by_group: Accumulator) -> ValueOf:
        return ValueOf(by_group, _equalized_odds, ratio=self.ratio, agg=self.agg)


def _equalized_odds(counts: Float[Array, "groups 4 1"], ratio: bool, agg: Agg) -> Float[Array, ""]:
    by_name = Counts(*jnp.moveaxis(counts[..., 0], 1, 0))
    positives = by_name.true_positives + by_name.false_negatives
    negatives = by_name.false_positives + by_name.true_negatives
    both = jnp.stack(
        [
            apart(safe_divide(chosen, all_of_them), positives + negatives, ratio=ratio)
            for chosen, all_of_them in ((by_name.true_positives, positives), (by_name.false_positives, negatives))
        ]
    )
    if agg == "mean":
        return jnp.mean(both)
    return jnp.min(both) if ratio else jnp.max(both)
