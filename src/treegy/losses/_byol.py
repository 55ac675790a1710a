"""BYOL: the prediction of one view is like the projection of the other, which is taken as given."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import units
from .._terms._loss import Loss
from .._types import PyTree
from ._several import several


def byol(y_pred: PyTree) -> Float[Array, "..."]:
    r"""The squared distance of a prediction and a target of length 1,
    $\left\lVert \frac{p}{\lVert p \rVert} - \frac{t}{\lVert t \rVert} \right\rVert^2 = 2 - 2 \cos(p, t)$.

    No gradient flows into the target. SimSiam's loss is the half of it, but for a constant.

    **Arguments:**

    - `y_pred`: embeddings `(prediction, target)`, each `(batch, ..., d)`; divided by their length, or by $10^{-7}$
        where that is less. For both directions, stack them along a second axis, `(batch, 2, d)`.

    **Returns:**

    One value for each vector, `(batch, ...)`. In the dtype of the embeddings, at least float32. Nothing is averaged
    over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape.

    ??? cite

        Grill et al., *Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning*, NeurIPS 2020.
    """
    prediction, target = several(y_pred, ("prediction", "target"))
    if prediction.ndim < 2:
        raise ContractError(
            f"`y_pred[0]` (the prediction) is {array_name(prediction)}, and vectors are expected: shapes like "
            "(batch, d)."
        )
    return jnp.sum((units(prediction, -1) - units(jax.lax.stop_gradient(target), -1)) ** 2, axis=-1)


class BYOL(Loss):
    r"""Predicting the other view: [`treegy.losses.byol`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.BYOL()
        assert loss((jnp.array([[3.0, 0.0]]), jnp.array([[1.0, 0.0]]))) == 0
        assert loss((jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 1.0]]))) == 2
        ```
    """

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        return byol(y_pred)
