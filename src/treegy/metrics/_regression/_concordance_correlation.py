"""How well predictions agree with labels, in how they vary and in where they lie."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from ..._terms._metric import Metric
from ..._terms._powers import exponent_of, times_power
from .._accumulators._moments import Statistics
from .._accumulators._value_of import ValueOf
from ._correlation import along, correlated


def concordance_of(statistics: Statistics) -> Array:
    """Return the concordance of the first two variables; 0 where both are the same constant."""
    products, weight, exponents = statistics.products, statistics.weight, statistics.exponents
    apart = statistics.apart[1]
    # All on the largest scale.
    largest = jnp.maximum(jnp.max(exponents, axis=0), exponent_of(apart))
    one, other = exponents[0] - largest, exponents[1] - largest
    squared = times_power(products[0, 0], 2 * one) + times_power(products[1, 1], 2 * other)
    squared = squared + weight * times_power(apart, -largest) ** 2
    return safe_divide(2 * times_power(products[0, 1], one + other), squared)


def concordance_correlation(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, axis: int = -1
) -> Float[Array, "..."]:
    r"""Return the concordance along an axis, as [`treegy.metrics.ConcordanceCorrelation`][] defines it.

    Arguments and errors are those of [`treegy.metrics.pearson_correlation`][].

    **Returns:**

    One value for each element of the other axes, from -1 to 1; 0 where both are the same constant. In the dtype of the
    arguments, at least float32.
    """
    return concordance_of(along(y_true, y_pred, axis))


class ConcordanceCorrelation(Metric):
    r"""The concordance of labels and predictions,

    $$
    \frac{2\,\text{cov}(y, \hat y)}{\text{var}(y) + \text{var}(\hat y) + (\bar y - \bar{\hat y})^2},
    $$

    which is 1 only where they are equal, and 0 where both are the same constant. Variances are those of the
    population, as in Keras, which adds $10^{-7}$ to the denominator.

    By default it is a metric value within each example, along the last axis of `(batch, ..., d)`, averaged over the
    examples. With `axis=0`, and for `(batch,)` always, it is that of the whole data, as explained in
    [`treegy.metrics.PearsonCorrelation`][].

    **Raises:** what [`treegy.metrics.PearsonCorrelation`][] does.

    ??? cite

        Lin, *A Concordance Correlation Coefficient to Evaluate Reproducibility*, Biometrics 45 (1989).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true, y_pred = jnp.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]]), jnp.array([[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]])
        assert abs(float(tg.metrics.ConcordanceCorrelation()(y_true, y_pred)) - 0.98163) < 1e-4
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
        return correlated(y_true, y_pred, sample_weight, axis=self.axis, metric_value=concordance_of)
