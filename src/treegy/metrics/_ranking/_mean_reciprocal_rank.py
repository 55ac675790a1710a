"""`MeanReciprocalRank`: how far ahead the first relevant document is."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked


class MeanReciprocalRank(QueryMetric):
    r"""How far ahead the first relevant document is, the mean over queries of $1 / \text{rank}$. 0 where there is none,
    or none among the first `k`.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.MeanReciprocalRank()(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        hits = documents.relevant & documents.within(self.k)
        return jnp.max(jnp.where(hits, 1 / documents.ranks, 0), axis=-1)
