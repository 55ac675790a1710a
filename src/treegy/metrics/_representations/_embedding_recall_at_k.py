"""`EmbeddingRecallAtK`: how often one of the nearest embeddings is of the same label."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import integer
from ._neighbours import OF_NEIGHBOURS, Neighbours, OfNeighbours


class EmbeddingRecallAtK(OfNeighbours):
    r"""How often one of the `k` embeddings nearest to an example, by cosine similarity, is of the same label: the
    recall@k of metric learning, each example a query for all others. It is among them if fewer than `k` of other labels
    are nearer than the nearest of its own.

    The labels and embeddings of up to `capacity` examples are kept, so that it doesn't depend on how examples are cut
    into batches. More make it NaN. Examples without another one of their label are no queries; without any it is 0.
    Weights are those of queries, and an example of weight 0 is no neighbour.

    **Accepts:** labels `y_true`, integers `(batch,)`, and embeddings `y_pred` `(batch, d)`.

    **Raises:** `ValueError` where `k` or `capacity` is less than 1. [`treegy.ContractError`][] where the shapes aren't
    these, `y_true` isn't of an integer dtype, or there is no room for a batch.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        embeddings = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.8, 0.5]])
        batch = tg.metrics.EmbeddingRecallAtK(k=1, capacity=8)(jnp.array([0, 0, 1, 1]), embeddings)
        assert float(batch) == 0.75
        ```

    ??? cite

        Jégou et al., *Product Quantization for Nearest Neighbor Search*, IEEE TPAMI 33 (2011).
    """

    k: int = eqx.field(
        default=1, kw_only=True, static=True, converter=integer("k", "how many neighbours are looked at", least=1)
    )
    """How many neighbours are looked at."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_NEIGHBOURS

    def _of_queries(self) -> tuple[Callable[..., Float[Array, "queries"]], dict[str, int]]:
        return _hits, {"k": self.k}


def _hits(neighbours: Neighbours, k: int) -> Array:
    similar, same = neighbours
    nearest = jnp.max(jnp.where(same, similar, -jnp.inf), axis=1, keepdims=True)
    return (jnp.sum(~same & (similar > nearest), axis=1) < k).astype(similar.dtype)
