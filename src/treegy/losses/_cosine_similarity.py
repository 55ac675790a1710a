"""The cosine of the angle between vectors, negative."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._converters import integer
from .._terms._elementwise import inner_axis, matched, units
from .._terms._loss import Loss


def cosine_similarity(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, axis: int = -1
) -> Float[Array, "..."]:
    r"""The cosine of the angle between vectors, negative so that the best is the smallest, $-1$:

    $$
    -\sum_i \frac{y_i}{\max(\lVert y \rVert, 10^{-7})} \frac{\hat y_i}{\max(\lVert \hat y \rVert, 10^{-7})}
    $$

    It is 0 where one of them is the zero vector.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ..., d)`. Nothing is broadcast.
    - `axis`: the axis along which the vectors lie.

    **Returns:**

    One value per vector, `(batch, ...)` without that axis. In the dtype of the arguments, at least float32. Nothing is
    averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where `axis` isn't one behind that of the batch.
    """
    y_true, y_pred = matched(y_true, y_pred)
    front = inner_axis(y_pred, axis, "components")
    return -jnp.sum(units(y_true, front) * units(y_pred, front), axis=front)


class CosineSimilarity(Loss):
    """The cosine of the angle between vectors, negative: [`treegy.losses.cosine_similarity`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.CosineSimilarity(reduction="none")
        values = loss(jnp.array([[0.0, 2.0], [1.0, 1.0]]), jnp.array([[0.0, 1.0], [-3.0, 3.0]]))
        assert jnp.allclose(values, jnp.array([-1.0, 0.0]))
        ```
    """

    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis along which the vectors lie."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return cosine_similarity(y_true, y_pred, axis=self.axis)
