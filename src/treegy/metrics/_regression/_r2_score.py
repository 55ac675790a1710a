"""The coefficient of determination."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._metric import Metric
from ..._terms._powers import LOWEST, exponent_of, times_power
from ..._terms._weights import weigh
from .._accumulators._moments import Moments
from ._outputs import ClassAggregation, Scaled, aggregated, check_class_aggregation, explained, outputs


class Squares(Accumulator):
    """Sums of squares of numbers that are divided by a power of two first, the one next below the largest."""

    total: Sum
    exponents: Array
    """`LOWEST` where all are 0."""

    @staticmethod
    def of(values: Array, weights: Array) -> "Squares":
        """Return the sums of the squares over the first axis."""
        values = jnp.where(weights != 0, values, jnp.zeros_like(values))
        exponents = exponent_of(jnp.max(jnp.abs(values), axis=0, initial=0))
        values = times_power(values, jnp.where(exponents == LOWEST, 0, -exponents)[None])
        return Squares(Sum(jnp.sum(values**2 * weights, axis=0)), exponents)

    def empty(self) -> "Squares":
        return Squares(self.total.empty(), jnp.full_like(self.exponents, LOWEST))

    def merge(self, other: "Squares") -> "Squares":
        exponents = jnp.maximum(self.exponents, other.exponents)
        mine, theirs = (
            one.total.times(times_power(jnp.ones_like(one.total.total), 2 * (one.exponents - exponents)))
            for one in (self, other)
        )
        return Squares(mine.merge(theirs), exponents)

    def compute(self) -> Scaled:
        return Scaled(self.total.compute(), 2 * jnp.where(self.exponents == LOWEST, 0, self.exponents))


class Residuals(Accumulator):
    """How labels vary, and how far predictions are from them: one of each for every output."""

    labels: Moments
    """Of the labels, `(1, outputs)`."""
    squared_errors: Squares
    """`(outputs,)`"""
    examples: Sum
    """How many there are whose weight isn't 0."""
    class_aggregation: ClassAggregation = eqx.field(static=True)
    num_regressors: int = eqx.field(static=True)

    def empty(self) -> "Residuals":
        return self._with(self.labels.empty(), self.squared_errors.empty(), self.examples.empty())

    def merge(self, other: "Residuals") -> "Residuals":
        return self._with(
            self.labels.merge(other.labels),
            self.squared_errors.merge(other.squared_errors),
            self.examples.merge(other.examples),
        )

    def compute(self) -> Array:
        labels = self.labels.compute()
        varying = Scaled(labels.products[0, 0], 2 * labels.exponents[0])
        scores = explained(self.squared_errors.compute(), varying, labels.weight)
        score = aggregated(scores, varying, self.class_aggregation)
        if self.num_regressors == 0:
            return score
        free = self.examples.compute() - self.num_regressors - 1
        adjusted = 1 - safe_divide((1 - score) * (self.examples.compute() - 1), free)
        return jnp.where(free > 0, adjusted, score)

    def _with(self, labels: Moments, squared_errors: Squares, examples: Sum) -> "Residuals":
        return Residuals(labels, squared_errors, examples, self.class_aggregation, self.num_regressors)


class R2Score(Metric):
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

    class_aggregation: ClassAggregation = eqx.field(default="uniform_average", kw_only=True, static=True)
    """How the scores of several outputs become one metric value: `"uniform_average"`, `"variance_weighted_average"`, or
    `None` for a vector of them."""
    num_regressors: int = eqx.field(
        default=0, kw_only=True, static=True, converter=integer("num_regressors", "the number of regressors", least=0)
    )
    r"""The number $p$ of regressors for the adjusted score $1 - (1 - R^2)\frac{n - 1}{n - p - 1}$ of the $n$ examples
    whose weight isn't 0. Up to $p + 1$ examples there is no such score, and $R^2$ itself is shown."""

    def __check_init__(self) -> None:
        check_class_aggregation(self.class_aggregation)

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Residuals:
        y_true, y_pred = outputs(y_true, y_pred)
        _, weights, _ = weigh(y_true, sample_weight)
        return Residuals(
            Moments.of((y_true,), sample_weight),
            Squares.of(y_pred - y_true, weights),
            Sum(jnp.sum(jnp.any(weights != 0, axis=1), dtype=jnp.int32)),
            self.class_aggregation,
            self.num_regressors,
        )
