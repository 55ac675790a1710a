"""`Alignment`: how near the embeddings of what belongs together are."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._elementwise import units
from ..._terms._metric import Metric
from ..._types import PyTree
from ...losses._several import several


class Alignment(Metric):
    r"""How far the embeddings of two views are apart on the sphere, the mean of $\lVert u - v \rVert^\alpha$ with
    $u = a / \lVert a \rVert$ and $v = b / \lVert b \rVert$. 0 is the best.

    **Accepts:** `y_pred` `(one, other)`, embeddings $a$ and $b$, each `(batch, ..., d)`; divided by their length, or by
    $10^{-7}$ where that is less.

    **Raises:** `ValueError` where `alpha` isn't positive. [`treegy.ContractError`][] where `y_pred` isn't that.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.Alignment()((jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0]])))
        assert abs(float(batch) - 2) < 1e-6
        ```

    ??? cite

        Wang and Isola, *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
        Hypersphere*, ICML 2020.
    """

    alpha: ArrayLike = eqx.field(default=2.0, kw_only=True)
    r"""The exponent $\alpha$."""

    def __check_init__(self) -> None:
        check_number("alpha", self.alpha, lambda a: a > 0, "a positive number")

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        one, other = several(y_pred, ("one view", "the other view"))
        if one.ndim < 2:
            raise ContractError(
                f"`y_pred[0]` is {array_name(one)}, and embeddings are expected: shapes like (batch, d)."
            )
        squares = jnp.sum((units(one, -1) - units(other, -1)) ** 2, axis=-1)
        return squares ** (jnp.asarray(self.alpha, squares.dtype) / 2)
