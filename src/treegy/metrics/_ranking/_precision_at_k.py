"""`PrecisionAtK`: how many of the first documents are relevant."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked, share


class PrecisionAtK(QueryMetric):
    r"""How many of the first `k` documents are relevant, the mean over queries of the fraction. Where a query has fewer
    documents, those that are missing are not relevant. Without `k`, of all documents.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.PrecisionAtK(k=2)(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        hits = jnp.sum(documents.relevant & documents.within(self.k), axis=-1)
        return share(hits, jnp.sum(documents.present, axis=-1) if self.k is None else jnp.full_like(hits, self.k))
