"""BPR: Bayesian personalized ranking, of what a user has chosen and what is drawn at random."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._terms._loss import Loss
from .._types import PyTree
from ._positive_and_negatives import positive_and_negatives


def bpr(y_pred: PyTree) -> Float[Array, "..."]:
    r"""How little likely it is that what was chosen ranks above what wasn't, $\log(1 + e^{-(p - n)})$; over several
    that weren't, the mean.

    **Arguments:**

    - `y_pred`: scores `(positive, negative)`: $p$ of what was chosen, `(batch, ...)`, and $n$ of what wasn't, of the
        same shape or, for several of them, `(batch, ..., negatives)`.

    **Returns:**

    One value per choice, `(batch, ...)`. In the dtype of the scores, at least float32. Nothing is averaged over
    examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of such shapes.

    ??? cite

        Rendle et al., *BPR: Bayesian Personalized Ranking from Implicit Feedback*, UAI 2009.
    """
    positive, negatives = positive_and_negatives(y_pred)
    return jnp.mean(jax.nn.softplus(negatives - positive[..., None]), axis=-1)


class BPR(Loss):
    """Bayesian personalized ranking: [`treegy.losses.bpr`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        chosen, others = jnp.array([2.0, 0.0]), jnp.array([[0.0, 1.0], [0.0, 0.0]])
        assert tg.losses.bpr((chosen, others))[1] == jnp.log(2)
        assert tg.losses.BPR()((chosen, others)) < jnp.log(2)
        ```
    """

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        return bpr(y_pred)
