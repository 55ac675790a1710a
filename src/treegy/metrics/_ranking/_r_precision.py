"""`RPrecision`: how many of the first documents are relevant, as many as there are relevant ones."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked, share


class RPrecision(QueryMetric):
    r"""How many of the first $R$ documents are relevant, where $R$ is how many relevant ones the query has, or `k` if
    that is less: the mean over queries of the fraction. 0 where there is none.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.RPrecision()(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        there = jnp.sum(documents.relevant, axis=-1, keepdims=True)
        most = there if self.k is None else jnp.minimum(there, self.k)
        first = documents.places < most
        return share(jnp.sum(documents.relevant & first, axis=-1), most[..., 0])
