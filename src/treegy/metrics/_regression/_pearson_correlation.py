"""How linearly labels and predictions depend on each other."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from ..._terms._metric import Metric
from .._accumulators._moments import Statistics
from .._accumulators._value_of import ValueOf
from ._correlation import along, correlated


def correlation_of(statistics: Statistics) -> Array:
    """Return the correlation of the first two variables; 0 where one of them is constant."""
    products = statistics.products
    # Of the roots, since the product of two sums of squares overflows early.
    both = jnp.sqrt(products[0, 0]) * jnp.sqrt(products[1, 1])
    return jnp.clip(safe_divide(products[0, 1], both), -1, 1)


def pearson_correlation(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, axis: int = -1
) -> Float[Array, "..."]:
    r"""Return the correlation along an axis, $\text{cov}(y, \hat y) / \sqrt{\text{var}(y)\,\text{var}(\hat y)}$.

    **Arguments:**

    - `y_true`, `y_pred`: real numbers of the same shape `(batch, ...)`. Nothing is broadcast.
    - `axis`: the axis along which they vary.

    **Returns:**

    One value for each element of the other axes, from -1 to 1; 0 where one of the two is constant. In the dtype of the
    arguments, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes differ or there is no such axis.
    """
    return correlation_of(along(y_true, y_pred, axis))


class PearsonCorrelation(Metric):
    r"""The correlation of labels and predictions,
    $\text{cov}(y, \hat y) / \sqrt{\text{var}(y)\,\text{var}(\hat y)}$; 0 where one of the two is constant.

    As in Keras, it is by default a correlation within each example, along the last axis of `(batch, ..., d)`, averaged
    over the examples. With `axis=0`, and for `(batch,)` always, it is that of the whole data: one metric value for each
    element of the other axes, exact in whatever batches the data comes, also where values are large against how much
    they vary.

    `y_true` and `y_pred` are real numbers of the same shape.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, and where there is no such axis or it is of length 1
    (but for that of the examples).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true, y_pred = jnp.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]]), jnp.array([[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]])
        assert abs(float(tg.metrics.PearsonCorrelation()(y_true, y_pred)) - 0.9967) < 1e-4

        y_true, y_pred = jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([1.0, 3.0, 2.0, 4.0])
        some, more = (tg.metrics.PearsonCorrelation()(y_true[i : i + 2], y_pred[i : i + 2]) for i in (0, 2))
        assert abs(float(some.merge(more)) - 0.8) < 1e-6
        ```
    """

    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis along which labels and predictions vary; 0 is that of the examples."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Float[Array, "batch ..."] | ValueOf:
        return correlated(y_true, y_pred, sample_weight, axis=self.axis, metric_value=correlation_of)
