"""`NDCG`: how much of the gain of the best order an order has."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import flag
from ...losses._documents import as_gain, gains
from ._query_metric import QueryMetric
from ._ranked import Ranked


class NDCG(QueryMetric):
    r"""How much of the gain of the best order the order of the scores has, the mean over queries of

    $$
    \frac{\sum_{i \le k} g(r_{\sigma(i)}) / \log_2(i + 1)}{\sum_{i \le k} g(r_{\tau(i)}) / \log_2(i + 1)}
    $$

    where $\sigma$ sorts the documents by their scores and $\tau$ by their relevances $r$. $g(r) = r$, or $2^r - 1$.
    0 for a query without relevant documents.

    Documents of the same score get the mean of the discounts of their places, as in scikit-learn, so that their order
    doesn't matter; with `ignore_ties` they are taken in the order in which they come.

    **Accepts:** relevances `y_true` and scores `y_pred` `(batch, ..., documents)`. Where a relevance is negative there
    is no document: so lists of unequal length are padded.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.NDCG(k=2)(jnp.array([[0, 1, 2, -1]]), jnp.array([[0.1, 0.8, 0.9, 5.0]]))
        assert float(batch) == 1
        ```

    ??? cite

        ```bibtex
        @article{jarvelin2002cumulated,
            title={Cumulated Gain-Based Evaluation of {IR} Techniques},
            author={J{\"a}rvelin, Kalervo and Kek{\"a}l{\"a}inen, Jaana},
            journal={ACM Transactions on Information Systems},
            year={2002},
        }
        ```
    """

    gain: str = eqx.field(default="linear", kw_only=True, static=True, converter=as_gain)
    """`"linear"` or `"exponential"`."""
    ignore_ties: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("ignore_ties"))
    """Whether documents of the same score are taken in the order in which they come."""

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        found = gains(documents.relevance, self.gain)
        discounts = jnp.where(documents.within(self.k), 1 / jnp.log2(documents.ranks + 1), 0).astype(found.dtype)
        best = jnp.sum(-jnp.sort(-found, axis=-1) * discounts, axis=-1)
        if not self.ignore_ties:
            discounts = _mean_of_ties(documents.scores, documents.present, discounts)
        return jnp.sum(found * discounts, axis=-1) / jnp.where(best > 0, best, 1)


def _mean_of_ties(scores: Array, present: Array, discounts: Array) -> Array:
    """Return discounts, those of places with the same score replaced by their mean."""
    same = (scores[..., 1:] == scores[..., :-1]) & (present[..., 1:] == present[..., :-1])
    edge = jnp.ones((*same.shape[:-1], 1), bool)
    place = jax.lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1)
    # The first and the last place of each score.
    first = jax.lax.cummax(jnp.where(jnp.concatenate([edge, ~same], axis=-1), place, 0), axis=scores.ndim - 1)
    starts = jnp.where(jnp.concatenate([~same, edge], axis=-1), place, scores.shape[-1])
    last = jax.lax.cummin(starts, axis=scores.ndim - 1, reverse=True)
    sums = jnp.concatenate([jnp.zeros_like(discounts[..., :1]), jnp.cumsum(discounts, axis=-1)], axis=-1)
    total = jnp.take_along_axis(sums, last + 1, axis=-1) - jnp.take_along_axis(sums, first, axis=-1)
    return total / (last + 1 - first).astype(discounts.dtype)
