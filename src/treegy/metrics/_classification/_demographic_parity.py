"""How far groups are from being predicted positive equally often."""

from typing import ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._elementwise import all_in_floats
from ..._terms._metric import Metric
from .._accumulators._counting import count, counted, element_weights, spoiled, weighted_at_all
from .._accumulators._value_of import ValueOf
from ._between_groups import BetweenGroups, apart


class _Selected(Metric):
    """How many predictions are positive, and how many there are."""

    threshold: ArrayLike

    def call(self, y_pred: Shaped[Array, "batch ..."], sample_weight: Num[Array, "batch ..."] | None = None) -> Sum:
        (predictions,) = all_in_floats({"y_pred": y_pred})
        weights = element_weights(sample_weight, predictions)
        unknown = jnp.any(weighted_at_all(jnp.isnan(predictions), weights))
        positive = predictions > jnp.asarray(self.threshold, predictions.dtype)
        cells = [each.reshape(-1) for each in (positive, jnp.ones_like(positive))]
        weights = None if weights is None else weights.reshape(-1)
        return spoiled(counted(jnp.stack([count(cell, weights) for cell in cells]), predictions.dtype), unknown)


class DemographicParity(BetweenGroups):
    r"""How far groups are from being predicted positive equally often: the largest share of positive predictions
    $P(\hat y > t \mid g)$ in a group minus the smallest; with `ratio=True`, the smallest divided by the largest.

    0 is the best difference, and 1 the best ratio: that is what there is, too, where nobody is predicted positive, and
    where there are no examples. Labels aren't asked for. `by` says which group an example is of, as in
    [`treegy.metrics.ByGroup`][]. Counts are weighted, and exact however long the epoch. A prediction that is NaN, or a
    group that there isn't, makes the metric value NaN.

    **Raises:** `TypeError` where `by` is neither a name nor a function, `ValueError` where `num_groups` is less than 2.
    [`treegy.ContractError`][] where `by` doesn't give an integer for each example.

    ??? cite "Reference"

        Agarwal et al., *A reductions approach to fair classification*, 2018.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        parity = tg.metrics.DemographicParity(by=lambda x: x["sex"], num_groups=2)
        batch = parity(y_pred=jnp.array([0.9, 0.2, 0.7, 0.8]), x={"sex": jnp.array([0, 0, 1, 1])})
        assert float(batch) == 0.5
        ```
    """

    local_axes: ClassVar[bool] = True

    def _counts(self) -> Metric:
        return _Selected(self.threshold, name="counts_of_groups")

    def _value(self, by_group: Accumulator) -> ValueOf:
        return ValueOf(by_group, _demographic_parity, ratio=self.ratio)


def _demographic_parity(counts: Float[Array, "groups 2"], ratio: bool) -> Float[Array, ""]:
    positive, there = counts.T
    return apart(safe_divide(positive, there), there, ratio=ratio)
