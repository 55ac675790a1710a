"""`ConcordanceIndex`: how often what happens sooner has the higher risk."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import safe_divide
from ...losses._survival import survival
from .._accumulators._shared import Source, source
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Kept, OfPairs, Pairs, kept


def kept_survival(y_true: Array, y_pred: Array, sample_weight: Array | None, *, capacity: int) -> Pairs:
    """Return the times, events and risks of a batch."""
    it = survival(y_true, y_pred, 1, "a risk for each example, (batch,)")
    event = jnp.where(it.unknown, jnp.nan, it.event.astype(it.time.dtype))
    return kept(
        jnp.stack([it.time, event], axis=1),
        # Beside each column, as pairs are kept.
        jnp.stack([it.predicted, it.predicted], axis=1),
        sample_weight,
        capacity=capacity,
    )


class ConcordanceIndex(OfPairs):
    r"""How often what happens sooner has the higher risk: Harrell's concordance index, the fraction of pairs with
    $t_i < t_j$ in which $r_i > r_j$; of equal risks a half. 0.5 is what risks drawn by lot have.

    Pairs count in which it happened to the example of the shorter time; of the same time, those in which it happened to
    one of them alone, which then is the sooner. A pair counts as the product of its weights. 0 without any such pairs.

    It can't be had from sums: examples are kept, up to `capacity` of them, and within it the metric value is exact for
    any batching. More make it NaN, never a metric value of some of them; those of weight 0 need no room. The metric
    value takes memory of the square of the capacity.

    **Accepts:** `y_true` `(batch, 2)`: the time, and 1 if it happened then, or 0 if it hadn't happened until then;
    risks `y_pred` `(batch,)`, larger where it happens sooner: the negative of a predicted time. Anything else than 0
    and 1, and NaN, makes it NaN.

    **Raises:** `ValueError` where `capacity` is less than 1. [`treegy.ContractError`][] where the shapes aren't these,
    and where a batch has more examples than there is room for and no weights that could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        index = tg.metrics.ConcordanceIndex(capacity=8)
        some = index(jnp.array([[1.0, 1], [4.0, 0]]), jnp.array([0.9, 0.8]))
        more = index(jnp.array([[3.0, 1]]), jnp.array([0.2]))
        assert abs(float(some.merge(more)) - 2 / 3) < 1e-6
        ```

    ??? cite

        Harrell et al., *Evaluating the Yield of Medical Tests*, JAMA 247 (1982).
    """

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return source(kept_survival, capacity=self.capacity)

    def _metric_value(self, accumulated: Pairs) -> ValueOf:
        return ValueOf(accumulated, _concordance)


def _concordance(pairs: Kept) -> Float[Array, ""]:
    time, event = pairs.y_true[:, 0], pairs.y_true[:, 1]
    risk, weight = pairs.y_pred[:, 0], pairs.weight[:, 0]
    sooner = (time[:, None] < time[None]) | ((time[:, None] == time[None]) & (event[None] == 0))
    comparable = sooner & (event[:, None] == 1)
    right = jnp.where(risk[:, None] > risk[None], 1.0, jnp.where(risk[:, None] == risk[None], 0.5, 0.0))
    # Row by row, whose counts are exact.
    each = jnp.where(comparable, weight[None], 0)
    won, all_of_them = (jnp.sum(weight * jnp.sum(of, axis=1)) for of in (each * right.astype(each.dtype), each))
    bad = jnp.any((jnp.isnan(time) | jnp.isnan(event) | jnp.isnan(risk)) & (weight != 0)) | pairs.full
    return jnp.where(bad, jnp.nan, safe_divide(won, all_of_them))
