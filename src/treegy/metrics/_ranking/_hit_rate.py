"""`HitRate`: for how many queries there is a relevant document among the first."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._query_metric import QueryMetric
from ._ranked import Ranked


class HitRate(QueryMetric):
    r"""For how many queries any of the first `k` documents is relevant.

    **Accepts:** relevances `y_true`, of which positive ones count, and scores `y_pred` `(batch, ..., documents)`. Where
    a relevance is negative there is no document. Documents of the same score are taken in the order in which they come.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.HitRate(k=1)(jnp.array([[0, 1, 0, 1]]), jnp.array([[0.9, 0.8, 0.7, 0.1]]))
        assert abs(float(batch) - 0.0) < 1e-6
        ```
    """

    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        return jnp.any(documents.relevant & documents.within(self.k), axis=-1).astype(jnp.float32)
