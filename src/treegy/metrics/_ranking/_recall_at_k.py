"""`RecallAtK`: how many of the relevant documents are among the first."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked, share


class RecallAtK(QueryMetric):
    r"""How many of the relevant documents are among the first `k`, the mean over queries of the fraction. 0 where there
    is none.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.RecallAtK(k=2)(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        hits = jnp.sum(documents.relevant & documents.within(self.k), axis=-1)
        return share(hits, jnp.sum(documents.relevant, axis=-1))
