"""LambdaRank: pairs of documents, each weighted with what NDCG loses by their wrong order."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._converters import integer
from .._terms._elementwise import computed_once
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._document_pairs import better_of, leads
from ._documents import as_gain, documents, gains


def lambda_rank(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, k: int | None = None, gain: str = "exponential"
) -> Float[Array, "..."]:
    r"""The logistic loss of pairs of documents, weighted with how much the NDCG changes if the two change places,

    $$
    \sum_{r_i > r_j} |\Delta_{ij}| \log(1 + e^{-(s_i - s_j)}), \qquad
    \Delta_{ij} = \frac{(g(r_i) - g(r_j)) (d_i - d_j)}{\text{the best DCG}}
    $$

    with the gains $g(r) = 2^r - 1$, or $r$, and the discounts $d_i = 1 / \log_2(1 + \text{the rank of } i)$, 0 after
    rank $k$. Ranks are those of the scores as they are: there is no gradient through them.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades $r$. Where one is negative there is no document:
        so lists of unequal length are padded.
    - `y_pred`: scores $s$ of the same shape.
    - `k`: how many documents count, from the highest score on; all by default.
    - `gain`: `"exponential"` or `"linear"`.

    **Returns:**

    One value per query, `(batch, ...)`, 0 for those whose documents are all as relevant;
    [`treegy.losses.LambdaRank`][] leaves these out of the mean. In the dtype of the arguments, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.

    ??? cite

        Burges, *From RankNet to LambdaRank to LambdaMART: An Overview*, Microsoft Research, 2010; as a loss: Wang et
        al., *The LambdaLoss Framework for Ranking Metric Optimization*, CIKM 2018.
    """
    return _values(y_true, y_pred, k, gain)[0]


def _values(y_true: Array, y_pred: Array, k: int | None, gain: str) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    gain = as_gain(gain)
    found = documents(y_true, y_pred)
    better = better_of(found)
    worth = gains(found.relevance, gain)
    # The order of the scores, and of what the documents are worth: what isn't there comes last.
    scores = computed_once(jax.lax.stop_gradient(found.scores))
    discounts = _discounts(jnp.lexsort((-scores, ~found.present), axis=-1), k).astype(worth.dtype)
    best = jnp.sum(worth * _discounts(jnp.argsort(-worth, axis=-1), k).astype(worth.dtype), axis=-1)
    change = jnp.abs(_apart(worth) * _apart(discounts)) / jnp.where(best > 0, best, 1)[..., None, None]
    values = jnp.where(better, change * jax.nn.softplus(-leads(found)), 0)
    return jnp.sum(values, axis=(-2, -1)), jnp.any(better, axis=(-2, -1))


def _apart(values: Array) -> Array:
    return values[..., :, None] - values[..., None, :]


def _discounts(order: Array, k: int | None) -> Array:
    """Return the discount of each document, from the order in which they are taken."""
    ranks = jnp.argsort(order, axis=-1) + 1
    discounts = 1 / jnp.log2(1 + ranks.astype(jnp.float32))
    return discounts if k is None else jnp.where(ranks <= k, discounts, 0)


class LambdaRank(Loss):
    """LambdaRank: [`treegy.losses.lambda_rank`][], of the queries that have pairs.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.LambdaRank(k=10)
        relevances = jnp.array([[3, 0, 1]])
        # A mistake at the top costs more than one below.
        at_the_top, below = jnp.array([[2.0, 3.0, 1.0]]), jnp.array([[3.0, 2.0, 1.0]])
        assert loss(relevances, at_the_top) > loss(relevances, below)
        ```
    """

    k: int | None = eqx.field(
        default=None,
        kw_only=True,
        static=True,
        converter=integer("k", "how many documents count", least=1, optional=True),
    )
    """How many documents count, from the highest score on; all by default."""
    gain: str = eqx.field(default="exponential", kw_only=True, static=True, converter=as_gain)
    """`"exponential"` or `"linear"`."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Masked:
        return Masked(*_values(y_true, y_pred, self.k, self.gain))
