"""`FallOut`: how many of the documents that are not relevant are among the first."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked, share


class FallOut(QueryMetric):
    r"""How many of the documents that aren't relevant are among the first `k`, the mean over queries of the fraction:
    the less the better. 0 where all are relevant.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.FallOut(k=1)(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.5) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        wrong = documents.present & ~documents.relevant
        return share(jnp.sum(wrong & documents.within(self.k), axis=-1), jnp.sum(wrong, axis=-1))
