"""`MeanAveragePrecision`: the precision at each relevant document."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked, share


class MeanAveragePrecision(QueryMetric):
    r"""The precision at each relevant document, the mean over queries of
    $\frac{1}{\min(R, k)} \sum_{i \le k} \text{rel}_i \cdot P_i$, where $R$ is how many relevant documents there are and
    $P_i$ how many of the first $i$ are relevant, as a fraction. 0 where there is none.

    torchmetrics divides by how many relevant documents are among the first `k`; without `k` that is the same.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.MeanAveragePrecision()(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        hits = documents.relevant & documents.within(self.k)
        precisions = jnp.cumsum(hits, axis=-1).astype(jnp.float32) / documents.ranks
        there = jnp.sum(documents.relevant, axis=-1)
        most = there if self.k is None else jnp.minimum(there, self.k)
        return share(jnp.sum(jnp.where(hits, precisions, 0), axis=-1), most)
