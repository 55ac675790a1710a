"""The area under the ROC curve, or under that of precision and recall."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._converters import OneOf, flag, integer
from ..._describe import array_name, describe
from ..._errors import ContractError
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._shared import Source, source
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Pairs, kept
from ._binary_counts import Counts
from ._of_scores import OfScores
from ._threshold_histogram import (
    as_numbers,
    at_thresholds,
    buckets,
    buckets_at,
    check_given_thresholds,
    spread_thresholds,
    summed,
)

Curve: TypeAlias = Literal["ROC", "PR", "PRGAIN"]
Summation: TypeAlias = Literal["interpolation", "minoring", "majoring"]

_as_curve = OneOf[Curve]("curve", "ROC", "PR", "PRGAIN")
_as_summation = OneOf[Summation]("summation_method", "interpolation", "minoring", "majoring")


class AUC(OfScores):
    r"""The area under a curve of two metric values that depend on the threshold $t$ above which a prediction is
    positive.

    For `curve="ROC"` it is that of the recall $TP / (TP + FN)$ over the false positive rate $FP / (FP + TN)$, which is
    how likely a positive example is predicted higher than a negative one. For `"PR"` it is that of the precision
    $TP / (TP + FP)$ over the recall; for `"PRGAIN"` that of the precision gain $1 - \frac{P}{N} \frac{FP}{TP}$ over the
    recall gain $1 - \frac{P}{N} \frac{FN}{TP}$, of $P$ positive and $N$ negative labels. It is 0 where there are no
    positive labels, and for `"ROC"` where there are no negative ones.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. Both curves are known at
    `num_thresholds` thresholds only: predictions between two of them can't be told apart. A label that is neither 0 nor
    1, or a prediction that is NaN, makes the metric value NaN.

    With a `capacity`, labels and predictions are kept as they are, of up to that many examples, and the area is exact:
    that of `sklearn.metrics.roc_auc_score` for `"ROC"`, with equal predictions and weights. Predictions may then be any
    numbers, such as logits. More examples make it NaN, never the area of some of them; examples of weight 0 need no
    room. Memory and time of each step grow with the capacity.

    **Raises:** `ValueError` where `curve` or `summation_method` is unknown, where there are less than two thresholds,
    or one isn't from 0 to 1, where there are both thresholds and a `capacity`, and where there is `num_labels` without
    `multi_label`. [`treegy.ContractError`][] where the shapes differ, where there is no axis of labels for
    `multi_label`, where `num_labels` or `label_weights` are of another number of labels, and where a batch has more
    examples than there is room for and no weights that could take any out.

    ??? cite "Reference"

        Davis and Goadrich, *The relationship between precision-recall and ROC curves*, 2006: between two thresholds,
        true and false positives are interpolated, and not their ratio. Flach and Kull, *Precision-recall-gain curves*,
        2015.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        auc = tg.metrics.AUC()
        assert abs(float(auc(jnp.array([0, 0, 1, 1]), jnp.array([0.0, 0.5, 0.3, 0.9]))) - 0.75) < 1e-6

        exact = tg.metrics.AUC(capacity=100)
        y_pred = jnp.array([0.0, 0.0002, 0.0001, 0.9])
        assert abs(float(exact(jnp.array([0, 0, 1, 1]), y_pred)) - 0.75) < 1e-6
        ```
    """

    # Static: they fix the shape of what is accumulated, or belong to what is made of it.
    curve: Curve = eqx.field(default="ROC", kw_only=True, static=True, converter=_as_curve)
    """`"ROC"`, `"PR"` or `"PRGAIN"`."""
    summation_method: Summation = eqx.field(default="interpolation", kw_only=True, static=True, converter=_as_summation)
    """`"interpolation"` between two thresholds; or the lower (`"minoring"`) or the higher (`"majoring"`) of the two."""
    thresholds: Sequence[float] | None = eqx.field(default=None, kw_only=True, static=True, converter=as_numbers)
    """Thresholds to use instead of `num_thresholds` ones; one below 0 and one above 1 are added."""
    multi_label: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("multi_label"))
    """Whether the last axis is that of several labels, and the metric value is the mean of their areas. If not, all are
    counted as one label."""
    num_labels: int | None = eqx.field(
        default=None,
        kw_only=True,
        static=True,
        converter=integer("num_labels", "how many labels there are", least=1, optional=True),
    )
    """How many labels there are for `multi_label`: checked, and otherwise known by the shape of `y_pred`."""
    label_weights: Sequence[float] | None = eqx.field(default=None, kw_only=True, static=True, converter=as_numbers)
    """Weights of the labels, in that mean or else in the counts."""

    def __check_init__(self) -> None:
        if self.num_labels is not None and not self.multi_label:
            raise ValueError(f"`num_labels={self.num_labels}` is about several labels: pass `multi_label=True`.")
        check_given_thresholds(self.thresholds)
        if self.thresholds is not None:
            self._refuse_thresholds("thresholds")
        if self.label_weights is not None:
            if not isinstance(self.label_weights, tuple):
                raise TypeError(f"`label_weights` is a list of numbers, and got {describe(self.label_weights)}.")
            for weight in self.label_weights:
                check_number("label_weights", weight, lambda w: w >= 0, "a list of numbers that aren't negative")

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        if self.capacity is not None:
            if self.multi_label or self.label_weights is not None:
                _check_labels(y_pred, self.num_labels, self.label_weights)
            return source(kept, capacity=self.capacity)
        thresholds = spread_thresholds(self.num_thresholds, self.thresholds)
        if not self.multi_label and self.label_weights is None:
            return buckets_at(thresholds, from_logits=self.from_logits)
        return source(
            _buckets_of_labels,
            thresholds=thresholds,
            from_logits=self.from_logits,
            multi_label=self.multi_label,
            num_labels=self.num_labels,
            label_weights=self.label_weights,
        )

    def _metric_value(self, accumulated: Sum | Pairs) -> ValueOf:
        # Of several labels they weigh the areas, else the counts.
        in_counts, of_areas = (None, self.label_weights) if self.multi_label else (self.label_weights, None)
        return self._made_by(
            _area,
            accumulated,
            per_class=self.multi_label,
            in_counts=in_counts,
            curve=self.curve,
            summation_method=self.summation_method,
            label_weights=of_areas,
        )


def _buckets_of_labels(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    thresholds: tuple[float, ...],
    from_logits: bool,
    multi_label: bool,
    num_labels: int | None,
    label_weights: tuple[float, ...] | None,
) -> Sum:
    _check_labels(y_pred, num_labels, label_weights)
    return buckets(
        y_true,
        y_pred,
        sample_weight,
        thresholds=thresholds,
        from_logits=from_logits,
        per_class=multi_label,
        # Of several labels they weigh the areas.
        label_weights=None if multi_label else label_weights,
    )


def _check_labels(y_pred: Array, num_labels: int | None, label_weights: Sequence[float] | None) -> None:
    if y_pred.ndim < 2:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} has no axis of labels, which `multi_label` and `label_weights` are about: "
            "shapes like (batch, labels) are expected."
        )
    if label_weights is not None and len(label_weights) != y_pred.shape[-1]:
        raise ContractError(
            f"`label_weights` has {len(label_weights)} weights, and `y_pred` {array_name(y_pred)} has "
            f"{y_pred.shape[-1]} labels along its last axis."
        )
    if num_labels is not None and num_labels != y_pred.shape[-1]:
        raise ContractError(
            f"`num_labels` is {num_labels}, and `y_pred` {array_name(y_pred)} has {y_pred.shape[-1]} labels along its "
            "last axis."
        )


def _area(
    histogram: Float[Array, "2 buckets labels"],
    curve: Curve,
    summation_method: Summation,
    label_weights: tuple[float, ...] | None,
) -> Float[Array, ""]:
    counts = at_thresholds(histogram)
    if curve == "PR" and summation_method == "interpolation":
        areas = _interpolated_precision(counts)
    else:
        areas = _riemann_sum(counts, curve, summation_method)
    weights = jnp.ones_like(areas) if label_weights is None else jnp.asarray(label_weights, areas.dtype)
    return safe_divide(jnp.sum(weights * areas), jnp.sum(weights))


def _riemann_sum(counts: Counts, curve: Curve, summation_method: Summation) -> Array:
    x, y = _gains(counts) if curve == "PRGAIN" else _rates(counts, curve)
    if summation_method == "interpolation":
        heights = (y[:-1] + y[1:]) / 2
    else:
        heights = (jnp.minimum if summation_method == "minoring" else jnp.maximum)(y[:-1], y[1:])
    return summed((x[:-1] - x[1:]) * heights)


def _rates(counts: Counts, curve: Curve) -> tuple[Array, Array]:
    recall = safe_divide(counts.true_positives, counts.true_positives + counts.false_negatives)
    if curve == "ROC":
        return safe_divide(counts.false_positives, counts.false_positives + counts.true_negatives), recall
    return recall, safe_divide(counts.true_positives, counts.true_positives + counts.false_positives)


def _gains(counts: Counts) -> tuple[Array, Array]:
    right, false_positives, false_negatives, true_negatives = counts
    odds = safe_divide(right + false_negatives, true_negatives + false_positives)
    none = right == 0
    # As in Keras: without true positives the gains are 0 and 1, and none is negative.
    recall = jnp.where(none, 0.0, jnp.maximum(1 - odds * safe_divide(false_negatives, right), 0))
    precision = jnp.where(none, 1.0, 1 - odds * safe_divide(false_positives, right))
    return recall, precision


def _interpolated_precision(counts: Counts) -> Array:
    """Return the integral over recall of (a + s p) / p, of p positive predictions, linearly between two thresholds."""
    right = counts.true_positives
    chosen = right + counts.false_positives
    gained = right[:-1] - right[1:]
    slope = safe_divide(gained, jnp.maximum(chosen[:-1] - chosen[1:], 0))
    intercept = right[1:] - slope * chosen[1:]
    grown = (chosen[:-1] > 0) & (chosen[1:] > 0)
    growth = jnp.where(grown, safe_divide(chosen[:-1], chosen[1:]), jnp.ones_like(chosen[1:]))
    positives = right[1:] + counts.false_negatives[1:]
    return summed(safe_divide(slope * (gained + intercept * jnp.log(growth)), positives))
