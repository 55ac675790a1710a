"""`QueryAUC`: how often a relevant document has a higher score than one that isn't relevant."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked, share


class QueryAUC(QueryMetric):
    r"""How often a relevant document has a higher score than one that isn't relevant, the mean over queries of the
    fraction of all pairs among the first `k`; of equal scores a half. 0 where there are no pairs.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.QueryAUC()(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.25) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        there = documents.within(self.k)
        right, wrong = documents.relevant & there, ~documents.relevant & there
        # Each document beside each: `(batch, ..., n, n)`.
        mine, theirs = documents.scores[..., :, None], documents.scores[..., None, :]
        won = (mine > theirs).astype(jnp.float32) + 0.5 * (mine == theirs).astype(jnp.float32)
        pairs = right[..., :, None] & wrong[..., None, :]
        return share(jnp.sum(jnp.where(pairs, won, 0), axis=(-2, -1)), jnp.sum(pairs, axis=(-2, -1)))
