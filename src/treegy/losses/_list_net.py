"""ListNet: the crossentropy of relevances and scores over the documents of a query."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._converters import OneOf
from .._terms._accumulator import safe_divide
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._crossentropy import log_softmax
from ._documents import documents

_as_target = OneOf("target", "softmax", "share")


def list_net(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, target: str = "softmax"
) -> Float[Array, "..."]:
    r"""The crossentropy of what is to be the first document of a query and what the scores say it is,
    $-\sum_i t_i \log \frac{e^{s_i}}{\sum_j e^{s_j}}$ with $t_i = \frac{e^{r_i}}{\sum_j e^{r_j}}$, or
    $\frac{r_i}{\sum_j r_j}$.

    **Arguments:**

    - `y_true`: relevances `(batch, ..., documents)`: 0 or 1, or grades $r$. Where one is negative there is no document:
        so lists of unequal length are padded.
    - `y_pred`: scores $s$ of the same shape.
    - `target`: `"softmax"`, as in the paper, or `"share"`: the share of the relevance that a document has.

    **Returns:**

    One value per query, `(batch, ...)`, 0 for those without documents, or without relevant ones if the target is their
    share; [`treegy.losses.ListNet`][] leaves these out of the mean. In the dtype of the arguments, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of documents.

    ??? cite

        Cao et al., *Learning to Rank: From Pairwise Approach to Listwise Approach*, ICML 2007.
    """
    return _values(y_true, y_pred, target)[0]


def _values(y_true: Array, y_pred: Array, target: str) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    target = _as_target(target)
    relevance, scores, present = documents(y_true, y_pred)
    if target == "softmax":
        some = jnp.any(present, axis=-1)
        among = present | ~some[..., None]
        wanted = jax.nn.softmax(jnp.where(among, relevance, -jnp.inf), axis=-1)
    else:
        total = jnp.sum(relevance, axis=-1)
        some = total > 0
        among = present | ~some[..., None]
        wanted = safe_divide(relevance, total[..., None])
    # A query of no documents would be infinitely unlikely, with gradients that are NaN.
    likely = log_softmax(jnp.where(among, jnp.where(present, scores, 0), -jnp.inf), -1)
    wants = wanted > 0
    values = -jnp.sum(jnp.where(wants, wanted * jnp.where(wants, likely, 0), 0), axis=-1)
    return jnp.where(some, values, 0), some


class ListNet(Loss):
    """The crossentropy over the documents of queries: [`treegy.losses.list_net`][], of the queries that have some.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        # One relevant document: the crossentropy of finding it.
        loss = tg.losses.ListNet(target="share")
        assert abs(loss(jnp.array([[0, 1, 0, -1]]), jnp.zeros((1, 4))) - jnp.log(3)) < 1e-6
        ```
    """

    target: str = eqx.field(default="softmax", kw_only=True, static=True, converter=_as_target)
    """`"softmax"` or `"share"`: what is to be the first document."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Masked:
        return Masked(*_values(y_true, y_pred, self.target))
