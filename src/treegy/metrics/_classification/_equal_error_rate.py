"""The rate of errors at the threshold where as large a share of positive as of negative labels is missed."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Pairs
from ._of_scores import OfScores
from ._threshold_histogram import at_thresholds


class EqualErrorRate(OfScores):
    r"""The rate of errors at the threshold where as large a share of the positive labels is missed,
    $FN / (FN + TP)$, as of the negative ones is taken for positive, $FP / (FP + TN)$: of speaker verification,
    biometrics and forgeries.

    Between two thresholds, both rates are interpolated linearly. It is 0 where there are no positive labels, or no
    negative ones.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. Both rates are known at
    `num_thresholds` thresholds only: predictions between two of them can't be told apart. With a `capacity`, labels and
    predictions are kept as they are, of up to that many examples, and the metric value is exact; it is NaN where there
    are more, never the metric value of some of them. A label that is neither 0 nor 1, or a prediction that is NaN,
    makes it NaN.

    **Raises:** `ValueError` where there are less than two thresholds, or both `num_thresholds` and a `capacity`.
    [`treegy.ContractError`][] where the shapes differ, and where a batch has more examples than there is room for and
    no weights that could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        rate = tg.metrics.EqualErrorRate(capacity=100)
        y_true, scores = jnp.array([0, 0, 0, 1, 1, 1]), jnp.array([-2.0, -1.0, 1.5, 1.0, 2.0, 3.0])
        assert abs(float(rate(y_true, scores)) - 1 / 3) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        return self._made_by(_equal_error_rate, accumulated)


def _equal_error_rate(histogram: Float[Array, "2 buckets 1"]) -> Float[Array, ""]:
    counts = at_thresholds(histogram[..., 0])
    false_positives = safe_divide(counts.false_positives, counts.false_positives + counts.true_negatives)
    misses = safe_divide(counts.false_negatives, counts.false_negatives + counts.true_positives)
    # From 1 to -1 as the threshold grows.
    apart = false_positives - misses
    after = jnp.argmax(~(apart > 0))
    before = jnp.maximum(after - 1, 0)
    share = safe_divide(apart[before], apart[before] - apart[after])
    return misses[before] + share * (misses[after] - misses[before])
