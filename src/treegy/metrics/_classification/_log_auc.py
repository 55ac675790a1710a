"""The area under the ROC curve over the logarithm of the false positive rate."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._describe import describe
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Pairs
from ._of_scores import OfScores
from ._threshold_histogram import as_numbers, at_thresholds, summed


def _as_rates(rates: Any) -> Any:
    """Return two false positive rates."""
    expected = "`false_positive_rates` are two numbers above 0 up to 1, of which the first is less"
    found = as_numbers(rates)
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"{expected}, and got {describe(rates)}.")
    if not 0 < found[0] < found[1] <= 1:
        raise ValueError(f"{expected}, and got {found}.")
    return found


class LogAUC(OfScores):
    r"""The area under the ROC curve where the false positive rate is small, over its logarithm: how early positive
    examples are found among many negative ones, as in screening.

    $$
    \frac{1}{\log b - \log a} \int_a^b \frac{R(f)}{f} \, df
    $$

    where $R$ is the recall $TP / (TP + FN)$ at the false positive rate $f$, between two thresholds linear in it. From 0
    to 1; predictions that say nothing have $(b - a) / (\log b - \log a)$, which is 0.0215 by default. It is 0 where
    there are no positive labels, or no negative ones. (torchmetrics takes trapezes over the logarithm, which differs
    where thresholds are far apart.)

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. With `num_thresholds`, rates are known
    at these only, and few of them are small: with a `capacity`, labels and predictions are kept as they are, of up to
    that many examples, and the metric value is exact. More make it NaN, never the metric value of some of them. A label
    that is neither 0 nor 1, or a prediction that is NaN, makes it NaN.

    **Raises:** `TypeError` or `ValueError` where the rates aren't two from above 0 to 1, where there are less than two
    thresholds, or both `num_thresholds` and a `capacity`. [`treegy.ContractError`][] where the shapes differ, and where
    a batch has more examples than there is room for and no weights that could take any out.

    !!! example

        ```python
        import math

        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.LogAUC((0.1, 1.0), capacity=100)
        y_true, scores = jnp.array([0, 1, 0, 1]), jnp.array([0.1, 0.2, 0.3, 0.4])
        # The recall is 0.5 until half of the negative examples are above the threshold, and 1 from there on.
        assert abs(float(metric(y_true, scores)) - (0.5 * math.log10(5) + math.log10(2))) < 1e-6
        ```

    ??? cite

        Mysinger and Shoichet, *Rapid Context-Dependent Ligand Desolvation in Molecular Docking*, Journal of Chemical
        Information and Modeling 50 (2010).
    """

    false_positive_rates: tuple[float, float] = eqx.field(default=(0.001, 0.1), static=True, converter=_as_rates)
    """$a$ and $b$: between which false positive rates the area is."""

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        return self._made_by(_log_area, accumulated, between=self.false_positive_rates)


def _log_area(histogram: Float[Array, "2 buckets 1"], between: tuple[float, float]) -> Float[Array, ""]:
    counts = at_thresholds(histogram[..., 0])
    # From (0, 0) to (1, 1).
    rate = safe_divide(counts.false_positives, counts.false_positives + counts.true_negatives)[::-1]
    recall = safe_divide(counts.true_positives, counts.true_positives + counts.false_negatives)[::-1]
    rise = safe_divide(jnp.diff(recall), jnp.diff(rate))
    start, end = (jnp.clip(at, *between) for at in (rate[:-1], rate[1:]))
    # Piece by piece, of which those outside have no length. Written so that nothing large cancels where it is steep.
    longer = (end - start) / start
    in_logarithms = jnp.log1p(longer)
    at_start = recall[:-1] + rise * (start - rate[:-1])
    area = summed(at_start * in_logarithms + rise * start * (longer - in_logarithms))
    return area / (jnp.log(between[1]) - jnp.log(between[0])).astype(area.dtype)
