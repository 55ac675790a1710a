"""`CKA`: how alike two representations of the same examples are, whatever their axes are."""

import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import in_floats
from ..._terms._metric import Metric
from .._accumulators._value_of import ValueOf
from ._covariance import Covariance, Covariances
from ._examples import check_vectors


class CKA(Metric):
    r"""How alike two representations of the same examples are: the linear centered kernel alignment

    $$
    \frac{\lVert X^T Y \rVert_F^2}{\lVert X^T X \rVert_F \lVert Y^T Y \rVert_F}
    $$

    of representations whose means over the examples are subtracted. 1 if one is a rotation of the other, at any scale;
    0 where one of them doesn't vary. It is exact however the examples are cut into batches.

    **Accepts:** `y_true` `(batch, d)` and `y_pred` `(batch, e)`. Memory is that of $(d + e)^2$ numbers.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        one = jnp.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 3.0]])
        assert abs(float(tg.metrics.CKA()(one, 5 - 2 * one[:, ::-1])) - 1) < 1e-6
        ```

    ??? cite

        Kornblith et al., *Similarity of Neural Network Representations Revisited*, ICML 2019.
    """

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        check_vectors(y_true=y_true, y_pred=y_pred)
        both = jnp.concatenate(in_floats(y_true, y_pred), axis=1)
        return ValueOf(Covariance.of(both, sample_weight), _alignment, size=y_true.shape[1])


def _alignment(statistics: Covariances, size: int) -> Array:
    products = statistics.products
    # Each variable divided by the scale of its representation, since fourth powers overflow early.
    variances = jnp.diagonal(products)
    largest = [jnp.max(part, initial=0) for part in (variances[:size], variances[size:])]
    one, other = (jnp.sqrt(jnp.where(most > 0, most, jnp.ones_like(most))) for most in largest)
    scales = jnp.where(jnp.arange(len(variances)) < size, one, other)
    scaled = products / scales[:, None] / scales[None, :]
    squares = [jnp.sum(part**2) for part in (scaled[:size, size:], scaled[:size, :size], scaled[size:, size:])]
    return safe_divide(squares[0], jnp.sqrt(squares[1]) * jnp.sqrt(squares[2]))
