"""How well ensembles of vectors are where labels are, with how they are spread."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._elementwise import in_floats
from ..._terms._metric import Metric
from ..._terms._powers import LOWEST, exponent_of, times_power
from ...losses._ensemble_crps import check_fair, pairs_of


class EnergyScore(Metric):
    r"""The energy score of ensembles of $m$ vectors $x_j$, which is [`treegy.losses.ensemble_crps`][] in several
    dimensions,

    $$
    \frac{1}{m}\sum_j \lVert x_j - y \rVert - \frac{1}{2 m^2}\sum_{jk} \lVert x_j - x_k \rVert.
    $$

    It is about the components together, and so about how they depend on each other. The mean over examples.

    `y_true` holds vectors `(batch, ..., d)`, and `y_pred` members `(batch, ..., members, d)`. All pairs of members are
    compared, which takes memory for $m^2 d$ numbers of each example.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `fair` scores are of one member.

    ??? cite

        Gneiting and Raftery, *Strictly Proper Scoring Rules, Prediction, and Estimation*, JASA 102 (2007).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.EnergyScore()
        assert float(score(jnp.array([[0.0, 0.0]]), jnp.array([[[3.0, 4.0], [3.0, 0.0]]]))) == 3
        ```
    """

    fair: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("fair"))
    """Whether the last sum is divided by $2 m (m - 1)$, so that on average it is the score of the distribution that the
    members are drawn from."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        members = y_pred.shape[-2] if y_pred.ndim > 2 else 0
        if y_true.ndim < 2 or members == 0 or y_pred.shape != (*y_true.shape[:-1], members, y_true.shape[-1]):
            raise ContractError(
                f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must be vectors and ensembles of "
                "them: shapes like (batch, d) and (batch, members, d) are expected."
            )
        check_fair(self.fair, members)
        y, x = in_floats(y_true, y_pred)
        apart = jnp.mean(_lengths(x - y[..., None, :]), axis=-1)
        between = _lengths(x[..., :, None, :] - x[..., None, :, :])
        return apart - jnp.sum(between, axis=(-2, -1)) / (2 * pairs_of(members, self.fair))


def _lengths(vectors: Array) -> Array:
    """Return the lengths of vectors along the last axis, with the gradient 0 where they are 0."""
    # Scaled first, so that squares neither underflow nor overflow.
    exponents = exponent_of(jnp.max(jnp.abs(vectors), axis=-1))
    scale = jnp.where(exponents == LOWEST, 0, exponents)
    squares = jnp.sum(times_power(vectors, -scale[..., None]) ** 2, axis=-1)
    some = squares > 0
    roots = jnp.sqrt(jnp.where(some, squares, jnp.ones_like(squares)))
    # A comparison loses NaN.
    return jnp.where(some, times_power(roots, scale), squares)
