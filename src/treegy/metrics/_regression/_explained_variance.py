"""How much of the variance of the labels is that of the predictions."""

import equinox as eqx
from jaxtyping import Array, Num, Shaped

from ..._terms._metric import Metric
from .._accumulators._moments import Moments, Statistics
from .._accumulators._value_of import ValueOf
from ._outputs import ClassAggregation, Scaled, aggregated, as_class_aggregation, explained, outputs


def explained_variance_of(statistics: Statistics, class_aggregation: ClassAggregation) -> Array:
    """Return how much of the variance of the first variable, the labels, isn't that of the second, the errors."""
    labels, errors = (Scaled(statistics.products[i, i], 2 * statistics.exponents[i]) for i in (0, 1))
    return aggregated(explained(errors, labels, statistics.weight), labels, class_aggregation)


class ExplainedVariance(Metric):
    r"""How much of the variance of the labels is explained, $1 - \text{var}(y - \hat y) / \text{var}(y)$.

    Unlike in [`treegy.metrics.R2Score`][], errors that are always the same don't count. Of labels that don't vary it is
    1 if the errors don't vary either, else 0, as in scikit-learn.

    `y_true` and `y_pred` are real numbers of the same shape `(batch,)` or `(batch, outputs)`. Weights are `(batch,)`,
    or of that shape.

    **Raises:** `ValueError` where `class_aggregation` is something else. [`treegy.ContractError`][] where the shapes
    differ or are others.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        variance = tg.metrics.ExplainedVariance()
        y_true, y_pred = jnp.array([3.0, -0.5, 2.0, 7.0]), jnp.array([2.5, 0.0, 2.0, 8.0])
        assert abs(float(variance(y_true, y_pred)) - 0.95717) < 1e-4
        ```
    """

    class_aggregation: ClassAggregation = eqx.field(
        default="uniform_average", kw_only=True, static=True, converter=as_class_aggregation
    )
    """How the scores of several outputs become one metric value: `"uniform_average"`, `"variance_weighted_average"`, or
    `None` for a vector of them."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        y_true, y_pred = outputs(y_true, y_pred)
        moments = Moments.of((y_true, y_pred - y_true), sample_weight)
        return ValueOf(moments, explained_variance_of, class_aggregation=self.class_aggregation)
