"""ApproxNDCG: 1 minus the NDCG of ranks that have gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._checks import check_number
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._document_pairs import leads
from ._documents import as_gain, documents, gains


def approx_ndcg(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    temperature: ArrayLike = 0.1,
    gain: str = "exponential",
) -> Float[Array, "..."]:
    r"""1 minus the NDCG in which ranks are approximated,

    $$
    1 - \frac{1}{\text{the best DCG}} \sum_i \frac{g(r_i)}{\log_2(1 + \pi_i)}, \qquad
    \pi_i = 1 + \sum_{j \ne i} \frac{1}{1 + e^{(s_i - s_j) / T}}
    $$

    with the gains $g(r) = 2^r - 1$, or $r$.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades $r$. Where one is negative there is no document:
        so lists of unequal length are padded.
    - `y_pred`: scores $s$ of the same shape.
    - `temperature`: $T > 0$. The lower, the nearer it is to NDCG, and the fewer of the differences have a gradient.
    - `gain`: `"exponential"` or `"linear"`.

    **Returns:**

    One value per query, `(batch, ...)`, 0 for those without a relevant document; [`treegy.losses.ApproxNDCG`][] leaves
    these out of the mean. In the dtype of the arguments, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.

    ??? cite

        Qin, Liu and Li, *A General Approximation Framework for Direct Optimization of Information Retrieval Measures*,
        Information Retrieval 13 (2010).
    """
    return _values(y_true, y_pred, temperature, gain)[0]


def _values(
    y_true: Array, y_pred: Array, temperature: ArrayLike, gain: str
) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    gain = as_gain(gain)
    found = documents(y_true, y_pred)
    worth = gains(found.relevance, gain)
    behind = jax.nn.sigmoid(-leads(found) / jnp.asarray(temperature, worth.dtype))
    # Each document is half behind itself.
    ranks = 0.5 + jnp.sum(jnp.where(found.present[..., None, :], behind, 0), axis=-1)
    places = 1 + jax.lax.broadcasted_iota(worth.dtype, worth.shape, worth.ndim - 1)
    best = jnp.sum(-jnp.sort(-worth, axis=-1) / jnp.log2(1 + places), axis=-1)
    some = best > 0
    found_gain = jnp.sum(worth / jnp.log2(1 + ranks), axis=-1) / jnp.where(some, best, 1)
    return jnp.where(some, 1 - found_gain, 0), some


class ApproxNDCG(Loss):
    """1 minus the NDCG of approximate ranks: [`treegy.losses.approx_ndcg`][], of the queries with relevant documents.

    **Raises:** `ValueError` where `temperature` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        relevances, scores = jnp.array([[2, 0, 1]]), jnp.array([[0.2, 0.5, 0.9]])
        loss = tg.losses.ApproxNDCG(temperature=0.001)
        metric = tg.metrics.NDCG(gain="exponential")
        assert abs(loss(relevances, scores) - (1 - float(metric(relevances, scores)))) < 1e-6
        ```
    """

    temperature: ArrayLike = eqx.field(default=0.1, kw_only=True)
    """How far apart scores are of which the lower one doesn't count any more."""
    gain: str = eqx.field(default="exponential", kw_only=True, static=True, converter=as_gain)
    """`"exponential"` or `"linear"`."""

    def __check_init__(self) -> None:
        check_number("temperature", self.temperature, lambda t: t > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Masked:
        return Masked(*_values(y_true, y_pred, self.temperature, self.gain))
