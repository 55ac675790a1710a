"""The coefficient of determination."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from ._outputs import ClassAggregation, aggregated, as_class_aggregation, explained
from ._residuals import OfResiduals, Residuals, Scores


class R2Score(OfResiduals):
    r"""The coefficient of determination, $R^2 = 1 - \sum_i w_i (y_i - \hat y_i)^2 / \sum_i w_i (y_i - \bar y)^2$.

    Of labels that don't vary it is 1 if they are predicted exactly, else 0, as in scikit-learn. It is that of the whole
    data in whatever batches this comes, also where labels are large against how much they vary.

    `y_true` and `y_pred` are real numbers of the same shape `(batch,)` or `(batch, outputs)`. Weights are `(batch,)`,
    or of that shape.

    **Raises:** `ValueError` where `class_aggregation` is something else, or `num_regressors` is negative.
    [`treegy.ContractError`][] where the shapes differ or are others.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        r2 = tg.metrics.R2Score()
        y_true, y_pred = jnp.array([[1.0], [4.0], [3.0]]), jnp.array([[2.0], [4.0], [4.0]])
        assert abs(float(r2(y_true, y_pred)) - 0.57142854) < 1e-6
        ```
    """

    class_aggregation: ClassAggregation = eqx.field(
        default="uniform_average", kw_only=True, static=True, converter=as_class_aggregation
    )
    """How the scores of several outputs become one metric value: `"uniform_average"`, `"variance_weighted_average"`, or
    `None` for a vector of them."""
    num_regressors: int = eqx.field(
        default=0, kw_only=True, static=True, converter=integer("num_regressors", "the number of regressors", least=0)
    )
    r"""The number $p$ of regressors for the adjusted score $1 - (1 - R^2)\frac{n - 1}{n - p - 1}$ of the $n$ examples
    whose weight isn't 0. Up to $p + 1$ examples there is no such score, and $R^2$ itself is shown."""

    def _metric_value(self, accumulated: Residuals) -> ValueOf:
        return ValueOf(
            accumulated, _r2_score, class_aggregation=self.class_aggregation, num_regressors=self.num_regressors
        )


def _r2_score(scores: Scores, class_aggregation: ClassAggregation, num_regressors: int) -> Array:
    each = explained(scores.squared_errors, scores.varying, scores.weight)
    score = aggregated(each, scores.varying, class_aggregation)
    if num_regressors == 0:
        return score
    free = scores.examples - num_regressors - 1
    adjusted = 1 - safe_divide((1 - score) * (scores.examples - 1), free)
    return jnp.where(free > 0, adjusted, score)
