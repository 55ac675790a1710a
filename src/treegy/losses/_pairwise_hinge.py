"""The hinge loss of pairs of documents."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._checks import check_number
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._document_pairs import of_pairs


def pairwise_hinge(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, margin: ArrayLike = 1.0
) -> Float[Array, "..."]:
    r"""How far documents are from the order of their relevances, the mean over the pairs of a query of
    $\max(m - (s_i - s_j), 0)$ where $r_i > r_j$.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades $r$. Where one is negative there is no document:
        so lists of unequal length are padded.
    - `y_pred`: scores $s$ of the same shape.
    - `margin`: $m$.

    **Returns:**

    One value per query, `(batch, ...)`, 0 for those whose documents are all as relevant;
    [`treegy.losses.PairwiseHinge`][] leaves these out of the mean. In the dtype of the arguments, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.

    ??? cite

        Herbrich, Graepel and Obermayer, *Large Margin Rank Boundaries for Ordinal Regression*, Advances in Large Margin
        Classifiers, 2000.
    """
    return _values(y_true, y_pred, margin)[0]


def _values(y_true: Array, y_pred: Array, margin: ArrayLike) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    return of_pairs(y_true, y_pred, lambda lead: jnp.maximum(jnp.asarray(margin, lead.dtype) - lead, 0))


class PairwiseHinge(Loss):
    """The hinge loss of pairs of documents: [`treegy.losses.pairwise_hinge`][], of the queries that have pairs.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.PairwiseHinge()
        assert loss(jnp.array([[1, 0]]), jnp.array([[1.0, 0.5]])) == 0.5
        ```
    """

    margin: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """By how much the score of the more relevant document is to be higher."""

    def __check_init__(self) -> None:
        check_number("margin", self.margin, lambda m: m == m, "a number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Masked:
        return Masked(*_values(y_true, y_pred, self.margin))
