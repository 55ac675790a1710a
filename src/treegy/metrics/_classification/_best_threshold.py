"""The threshold at which two classes are told apart best, and the confusion matrix there."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._converters import OneOf, integer
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._binary_counts import Counts
from ._over_thresholds import OverThresholds
from ._threshold_histogram import at_thresholds, even_thresholds

Criterion: TypeAlias = Literal["youden", "f1", "accuracy", "mcc"]

_as_criterion = OneOf[Criterion]("criterion", "youden", "f1", "accuracy", "mcc")


class AtBestThreshold(OverThresholds):
    """What is found at the threshold at which a criterion is highest."""

    criterion: Criterion = eqx.field(default="youden", static=True, converter=_as_criterion)
    r"""What is highest there: `"youden"` for Youden's $\frac{TP}{TP + FN} + \frac{TN}{TN + FP} - 1$ (as the balanced
    accuracy is), `"f1"`, `"accuracy"`, or `"mcc"` for Matthews' correlation."""
    # Static, since it fixes the shape of what is accumulated.
    num_thresholds: int = eqx.field(
        default=200,
        kw_only=True,
        static=True,
        converter=integer("num_thresholds", "how many thresholds there are", least=1),
    )
    """How many thresholds there are to choose from, evenly spread from 0 to 1."""

    def _thresholds(self) -> tuple[float, ...]:
        return even_thresholds(self.num_thresholds)


class BestThreshold(AtBestThreshold):
    r"""The threshold at which two classes are told apart best: predictions above it stand for class 1. Of several that
    are as good, it is the least.

    Find it on validation data, since on the data of a test it flatters. [`treegy.metrics.ConfusionAtBestThreshold`][]
    is what it leads to; `tg.metrics.BinaryAccuracy(threshold=...)` and others take it as a number.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. A label that is neither 0 nor 1, or a
    prediction that is NaN, makes the metric value NaN.

    **Raises:** `ValueError` where `criterion` is unknown, or where there is no threshold. [`treegy.ContractError`][]
    where the shapes differ, or where they have no class `class_id`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        best = tg.metrics.BestThreshold("f1", num_thresholds=11)
        y_true, y_pred = jnp.array([0, 0, 1, 1]), jnp.array([0.05, 0.25, 0.35, 0.75])
        assert abs(float(best(y_true, y_pred)) - 0.3) < 1e-6
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _threshold, criterion=self.criterion, thresholds=self._thresholds())


class ConfusionAtBestThreshold(AtBestThreshold):
    r"""The confusion matrix at the threshold at which two classes are told apart best,
    $\begin{pmatrix} TN & FP \\ FN & TP \end{pmatrix}$: labels are rows, as in [`treegy.metrics.ConfusionMatrix`][].
    [`treegy.metrics.BestThreshold`][] is that threshold, and both accumulate the same.

    What it takes and raises is what [`treegy.metrics.BestThreshold`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        matrix = tg.metrics.ConfusionAtBestThreshold("accuracy")
        y_true, y_pred = jnp.array([0, 0, 1, 1, 1]), jnp.array([0.05, 0.25, 0.35, 0.75, 0.0])
        assert matrix(y_true, y_pred).compute().tolist() == [[2, 0], [1, 2]]
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _matrix, criterion=self.criterion)


def _threshold(
    histogram: Float[Array, "2 buckets 1"], criterion: Criterion, thresholds: tuple[float, ...]
) -> Float[Array, ""]:
    scores = _scores(at_thresholds(histogram[..., 0]), criterion)
    found = jnp.asarray(thresholds, scores.dtype)[jnp.argmax(scores)]
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, found)


def _matrix(histogram: Float[Array, "2 buckets 1"], criterion: Criterion) -> Float[Array, "2 2"]:
    counts = at_thresholds(histogram[..., 0])
    best = jnp.argmax(_scores(counts, criterion))
    true, false, missed, rest = (count[best] for count in counts)
    return jnp.stack([jnp.stack([rest, false]), jnp.stack([missed, true])])


def _scores(counts: Counts, criterion: Criterion) -> Float[Array, "thresholds"]:
    """Return how good each threshold is."""
    true, false, missed, rest = counts
    if criterion == "f1":
        return safe_divide(2 * true, 2 * true + false + missed)
    if criterion == "accuracy":
        return safe_divide(true + rest, true + false + missed + rest)
    if criterion == "youden":
        return safe_divide(true, true + missed) + safe_divide(rest, rest + false) - 1
    total = true + false + missed + rest
    true, false, missed, rest = (safe_divide(count, total) for count in counts)
    labels, predictions = (true + missed) * (false + rest), (true + false) * (missed + rest)
    return safe_divide(true * rest - false * missed, jnp.sqrt(labels) * jnp.sqrt(predictions))
