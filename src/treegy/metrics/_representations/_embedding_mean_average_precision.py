"""`EmbeddingMeanAveragePrecision`: how far in front the embeddings of the same label are."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import safe_divide
from ._neighbours import OF_NEIGHBOURS, Neighbours, OfNeighbours


class EmbeddingMeanAveragePrecision(OfNeighbours):
    r"""The mean average precision of retrieving, by cosine similarity, the other examples that have the label of each,
    the mean over examples of

    $$
    \frac{1}{R} \sum_{i \in \text{those}} P_i
    $$

    where $P_i$ is the fraction of the first $i$ that have its label, and $R$ how many do. Equal similarities are in the
    order in which examples came.

    The labels and embeddings of up to `capacity` examples are kept, so that it doesn't depend on how examples are cut
    into batches. More make it NaN. Examples without another one of their label are no queries; without any it is 0.
    Weights are those of queries, and an example of weight 0 is no neighbour.

    **Accepts:** labels `y_true`, integers `(batch,)`, and embeddings `y_pred` `(batch, d)`.

    **Raises:** `ValueError` where `capacity` is less than 1. [`treegy.ContractError`][] where the shapes aren't these,
    `y_true` isn't of an integer dtype, or there is no room for a batch.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        embeddings = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.8, 0.5]])
        batch = tg.metrics.EmbeddingMeanAveragePrecision(capacity=8)(jnp.array([0, 0, 1, 1]), embeddings)
        assert abs(float(batch) - (1 + 1 + 1 + 1 / 3) / 4) < 1e-6
        ```

    ??? cite

        Musgrave et al., *A Metric Learning Reality Check*, ECCV 2020.
    """

    exempt_from: ClassVar[Mapping[str, str]] = OF_NEIGHBOURS

    def _of_queries(self) -> tuple[Callable[..., Float[Array, "queries"]], dict[str, int]]:
        return _average_precisions, {}


def _average_precisions(neighbours: Neighbours) -> Array:
    similar, same = neighbours
    order = jnp.argsort(-similar, axis=1, stable=True)
    same = jnp.take_along_axis(same, order, axis=1)
    found = jnp.cumsum(same, axis=1).astype(similar.dtype)
    precisions = found / jnp.arange(1, same.shape[1] + 1, dtype=similar.dtype)[None, :]
    return safe_divide(jnp.sum(jnp.where(same, precisions, jnp.zeros_like(precisions)), axis=1), found[:, -1])
