"""How often classes and clusters agree about two examples."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._contingency import OfContingency
from ._pairs_of_examples import PairShares


class RandScore(OfContingency):
    r"""The share of pairs of examples about which classes and clusters agree: that they belong together, or that they
    don't.

    `y_true` holds class indices `(batch, ...)`, `y_pred` cluster indices of the same shape, or scores
    `(batch, ..., clusters)`, of which the first largest is the cluster. Clusters may have any order. All pairs of the
    whole data count, also those of different batches: what is accumulated is how many examples each class and cluster
    have in common, once for all metrics of partitions in a model.

    An example counts as often as its weight says. It is 1 where there are less than two examples, as in scikit-learn.
    A label or cluster out of range makes it NaN.

    **Raises:** `ValueError` where `num_classes` or `num_clusters` is less than 1. [`treegy.ContractError`][] where the
    shapes don't fit, or labels aren't integers.

    ??? cite

        Rand, *Objective Criteria for the Evaluation of Clustering Methods*, JASA 66 (1971).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.RandScore(num_classes=2, num_clusters=3)
        assert abs(float(score(jnp.array([0, 0, 1, 1]), jnp.array([2, 2, 0, 1]))) - 5 / 6) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _rand_score)


def _rand_score(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    pairs = PairShares.of(table)
    # 1 minus what disagrees, so that nothing at all is 1; NaN stays.
    return 1 - (pairs.in_cluster + pairs.in_class)


class AdjustedRandScore(OfContingency):
    r"""By how much more classes and clusters agree about pairs of examples than by chance: the score of
    [`treegy.metrics.RandScore`][], shifted and scaled so that 0 is chance and 1 is agreement.

    With the shares of pairs that are together in both ($a$), in the cluster alone ($b$), in the class alone ($c$) and
    in neither ($d$), $\frac{2 (a d - b c)}{(a + c)(c + d) + (a + b)(b + d)}$. It is 1 where they agree about all
    pairs, also where there are none.

    What it takes and raises is what [`treegy.metrics.RandScore`][] does.

    ??? cite

        Hubert and Arabie, *Comparing Partitions*, Journal of Classification 2 (1985).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.AdjustedRandScore(num_classes=2, num_clusters=3)
        assert abs(float(score(jnp.array([0, 0, 1, 1]), jnp.array([2, 2, 0, 1]))) - 4 / 7) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _adjusted_rand_score)


def _adjusted_rand_score(table: Float[Array, "classes clusters"]) -> Float[Array, ""]:
    a, b, c, d = PairShares.of(table)
    score = safe_divide(2 * (a * d - b * c), (a + c) * (c + d) + (a + b) * (b + d))
    return jnp.where((b == 0) & (c == 0), jnp.ones_like(score), score)
