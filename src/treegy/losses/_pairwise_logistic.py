"""The logistic loss of pairs of documents (RankNet)."""

import jax
from jaxtyping import Array, Float, Num, Shaped

from .._terms._loss import Loss
from .._terms._weights import Masked
from ._document_pairs import of_pairs


def pairwise_logistic(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""How little likely it is that documents are in the order of their relevances, the mean over the pairs of a query
    of $\log(1 + e^{-(s_i - s_j)})$ where $r_i > r_j$.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades $r$. Where one is negative there is no document:
        so lists of unequal length are padded.
    - `y_pred`: scores $s$ of the same shape.

    **Returns:**

    One value per query, `(batch, ...)`, 0 for those whose documents are all as relevant;
    [`treegy.losses.PairwiseLogistic`][] leaves these out of the mean. In the dtype of the arguments, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.

    ??? cite

        Burges et al., *Learning to Rank using Gradient Descent*, ICML 2005.
    """
    return of_pairs(y_true, y_pred, _logistic)[0]


def _logistic(lead: Array) -> Array:
    return jax.nn.softplus(-lead)


class PairwiseLogistic(Loss):
    """The logistic loss of pairs of documents: [`treegy.losses.pairwise_logistic`][], of the queries that have pairs.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.PairwiseLogistic()
        relevances = jnp.array([[2, 0, 1, -1]])  # the last document isn't there
        assert loss(relevances, jnp.array([[3.0, 1.0, 2.0, 9.0]])) < loss(relevances, jnp.array([[1.0, 3.0, 2.0, 9.0]]))
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Masked:
        return Masked(*of_pairs(y_true, y_pred, _logistic))
