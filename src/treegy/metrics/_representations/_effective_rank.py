"""`EffectiveRank`: in how many directions embeddings vary; RankMe."""

import jax.numpy as jnp
from jaxtyping import Array, Num

from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import all_in_floats
from ..._terms._metric import Metric
from .._accumulators._value_of import ValueOf
from ._covariance import Covariance, Covariances
from ._examples import check_vectors


class EffectiveRank(Metric):
    r"""In how many directions embeddings lie, RankMe: with the singular values $\sigma_k$ of the matrix of all of them,

    $$
    \exp\left(-\sum_k p_k \log p_k\right), \qquad p_k = \frac{\sigma_k}{\sum_l \sigma_l}
    $$

    From 1, where all embeddings lie on a line through 0 or are the same, to $d$, where all directions are used alike; 0
    where all embeddings are 0, or there are none. It is exact however the examples are cut into batches: the singular
    values are roots of the eigenvalues of a matrix that is merged, of which those below the rounding of float32,
    $d \cdot 1.2 \cdot 10^{-7}$ of the largest, count as 0.

    **Accepts:** embeddings `y_pred` `(batch, d)`.

    **Raises:** [`treegy.ContractError`][] where they aren't that.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        rank = tg.metrics.EffectiveRank()
        assert abs(float(rank(jnp.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]))) - 2) < 1e-5
        assert abs(float(rank(jnp.ones((4, 3)))) - 1) < 1e-5
        ```

    ??? cite

        Roy and Vetterli, *The Effective Rank: A Measure of Effective Dimensionality*, EUSIPCO 2007; Garrido et al.,
        *RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised Representations by Their Rank*, ICML
        2023.
    """

    def call(self, y_pred: Num[Array, "batch ..."], sample_weight: Num[Array, "batch"] | None = None) -> ValueOf:
        check_vectors(y_pred=y_pred)
        (embeddings,) = all_in_floats({"y_pred": y_pred})
        return ValueOf(Covariance.of(embeddings, sample_weight), _rank)


def _rank(statistics: Covariances) -> Array:
    mean, weight = statistics.mean, statistics.weight
    squares = statistics.products + jnp.outer(weight * mean, mean)
    largest = jnp.max(jnp.diagonal(squares), initial=0)
    eigenvalues = jnp.linalg.eigvalsh(squares / jnp.where(largest > 0, largest, jnp.ones_like(largest)))
    least = jnp.max(eigenvalues) * len(mean) * jnp.finfo(mean.dtype).eps
    found = eigenvalues > jnp.maximum(least, 0)
    singular = jnp.where(found, jnp.sqrt(jnp.where(found, eigenvalues, jnp.ones_like(eigenvalues))), 0)
    p = safe_divide(singular, jnp.broadcast_to(jnp.sum(singular), singular.shape))
    entropy = -jnp.sum(jnp.where(found, p * jnp.log(jnp.where(found, p, jnp.ones_like(p))), jnp.zeros_like(p)))
    return jnp.where(largest == 0, jnp.zeros_like(entropy), jnp.exp(entropy))
