"""How far the confidence of predictions is from how often they are right."""

from typing import ClassVar, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import OneOf, flag, integer
from ..._terms._accumulator import Sum, safe_divide
from ..._terms._classes import class_axis, class_labels
from ..._terms._elementwise import in_floats, matched
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from .._accumulators._counting import element_weights, histogram, spoiled, weighted_at_all
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Kept, kept
from .._regression._spearman_correlation import ranks
from ._binary_counts import columns, is_binary
from ._class_indices import holds_class_indices, scored_class
from ._exact_histogram import as_capacity

Norm: TypeAlias = Literal["l1", "l2", "max"]

DEFAULT_CAPACITY = 4096

_as_norm = OneOf[Norm]("norm", "l1", "l2", "max")


class CalibrationError(Metric):
    r"""How far the confidence of predictions is from how often they are right, $\sum_b \frac{n_b}{n} |a_b - c_b|$.

    Predictions are put into bins by their confidence; $a_b$ is how often those of a bin are right, and $c_b$ their mean
    confidence. This is the expected calibration error; `norm="l2"` gives $\sqrt{\sum_b \frac{n_b}{n} (a_b - c_b)^2}$,
    and `"max"` $\max_b |a_b - c_b|$.

    - Class indices `y_true` `(batch, ...)` and `y_pred` `(batch, ..., classes)`: the confidence is the largest
        probability, and it is right if that is the label's.
    - Labels of the shape of `y_pred`, 0 or 1: the confidence is the probability of 1, and it is right if the label is
        1.

    With `classwise=True` it is the mean over classes of the calibration error of each, in which the confidence is the
    probability of that class, and it is right if that is the label's: the static calibration error. Labels of the shape
    of `y_pred` then have an axis of classes, the last.

    With `adaptive=True` there are as many examples in one bin as in another, nearly: an example is in the bin
    $\lfloor B r / n \rfloor$, of $B$ bins and $n$ examples, if it is of rank $r$ by its confidence. Equal ones have the
    mean of their ranks, so that they are in one bin. Ranks are known at the end only: labels and confidences are kept,
    of up to `capacity` examples. More of them make the metric value NaN; examples of weight 0 need no room.

    A label that isn't a class, or a prediction that is NaN, makes the metric value NaN.

    **Raises:** `ValueError` where `num_bins` is less than 1, `norm` is unknown, or there is a `capacity` and nothing is
    `adaptive`. [`treegy.ContractError`][] where the shapes are neither, and where a batch has more examples than there
    is room for and no weights that could take any out.

    ??? cite "Reference"

        Guo et al., *On calibration of modern neural networks*, 2017. Nixon et al., *Measuring calibration in deep
        learning*, 2019, for `classwise` and `adaptive`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.CalibrationError()
        metric_value = float(error(jnp.array([0, 1, 1, 1]), jnp.array([0.75, 0.75, 0.75, 0.75])))
        assert abs(metric_value) < 1e-6

        adaptive = tg.metrics.CalibrationError(adaptive=True, num_bins=2, capacity=100)
        metric_value = float(adaptive(jnp.array([0, 1, 1, 1]), jnp.array([0.91, 0.92, 0.93, 0.94])))
        assert abs(metric_value - 0.24) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    # Static, since it fixes the shape of what is accumulated.
    num_bins: int = eqx.field(
        default=15, kw_only=True, static=True, converter=integer("num_bins", "how many bins there are", least=1)
    )
    """How many bins of equal width there are from 0 to 1. A confidence between two is in the lower one."""
    norm: Norm = eqx.field(default="l1", kw_only=True, static=True, converter=_as_norm)
    """`"l1"`, `"l2"` or `"max"`."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits: of classes for class indices, and else of the probability of 1."""

    classwise: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("classwise"))
    """Whether each class has bins of its own, of how probable it is, and the metric value is the mean over classes."""
    adaptive: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("adaptive"))
    """Whether bins are of equally many examples, and not of equal width. Examples are kept for it."""
    capacity: int | None = eqx.field(default=None, kw_only=True, static=True, converter=as_capacity)
    """How many examples are kept for `adaptive`, 4096 by default."""

    def __check_init__(self) -> None:
        if self.capacity is not None and not self.adaptive:
            raise ValueError(
                f"`capacity={self.capacity}` is about examples that are kept: pass `adaptive=True`, or leave it out."
            )

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Shaped[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        right, confidence, invalid = self._right_and_confidence(y_true, y_pred)
        options = {"num_bins": self.num_bins, "norm": self.norm, "classwise": self.classwise}
        if self.adaptive:
            confidence = jnp.where(invalid, jnp.nan, confidence)
            capacity = DEFAULT_CAPACITY if self.capacity is None else self.capacity
            return ValueOf(kept(right, confidence, sample_weight, capacity=capacity), _adaptive_error, **options)
        weights = element_weights(sample_weight, confidence)
        edges = jnp.asarray([i / self.num_bins for i in range(1, self.num_bins)], confidence.dtype)
        bins = jnp.searchsorted(edges, confidence, side="left", method="scan_unrolled").astype(jnp.int32)
        invalid = invalid | jnp.isnan(confidence)
        bins, right, confidence, invalid = (
            columns(each, None, self.classwise) for each in (bins, right, confidence, invalid)
        )
        weights = None if weights is None else columns(weights, None, self.classwise)
        invalid = jnp.any(weighted_at_all(invalid, weights), axis=0)
        sums = spoiled(_of_bins(bins, right, confidence, weights, self.num_bins), invalid)
        return ValueOf(sums, _calibration_error, norm=self.norm)

    def _right_and_confidence(self, y_true: Array, y_pred: Array) -> tuple[Array, Array, Array]:
        """Return which predictions are right, how sure they are of it, and where there is no such label."""
        if not holds_class_indices(y_true, y_pred):
            if self.classwise:
                class_axis(y_true, y_pred)
            labels, scores = matched(y_true, y_pred)
            return labels == 1, jax.nn.sigmoid(scores) if self.from_logits else scores, ~is_binary(labels)
        labels = class_labels(y_true, y_pred)
        _, scores = in_floats(y_true, y_pred)
        probabilities = jax.nn.softmax(scores, axis=-1) if self.from_logits else scores
        outside = (labels < 0) | (labels >= scores.shape[-1])
        if self.classwise:
            of_label = jax.lax.broadcasted_iota(labels.dtype, scores.shape, scores.ndim - 1) == labels[..., None]
            return of_label, probabilities, jnp.broadcast_to(outside[..., None], scores.shape)
        return scored_class(scores, -1) == labels.astype(jnp.int32), jnp.max(probabilities, axis=-1), outside


def _of_bins(bins: Array, right: Array, confidence: Array, weights: Array | None, num_bins: int) -> Sum:
    """Return how many predictions `(n, classes)` there are by bin, how many of them are right, and the sum of their
    confidence: `(3, bins, classes)`."""
    shape = (num_bins, bins.shape[1])
    cells = bins * shape[1] + jax.lax.broadcasted_iota(bins.dtype, bins.shape, 1)
    of_right = jnp.where(right, cells, jnp.full_like(cells, num_bins * shape[1]))
    summed = ((cells, weights), (of_right, weights), (cells, weigh(confidence, weights)[0]))
    return jax.tree.map(lambda *each: jnp.stack(each), *(histogram(c, shape, of, confidence.dtype) for c, of in summed))


def _adaptive_error(pairs: Kept, num_bins: int, norm: Norm, classwise: bool) -> Float[Array, ""]:
    right, confidence, weights = (
        columns(a if a.ndim > 1 else a[:, None], None, classwise) for a in (pairs.y_true, pairs.y_pred, pairs.weight)
    )
    total = jnp.broadcast_to(jnp.sum(weights, axis=0), weights.shape)
    # Equal ones have the mean of their ranks, and so are in one bin, whatever the order in which they came.
    rank = jax.vmap(ranks, in_axes=1, out_axes=1)(confidence, weights)
    bins = jnp.clip(safe_divide(rank * num_bins, total), 0, num_bins - 1).astype(jnp.int32)
    value = _calibration_error(_of_bins(bins, right == 1, confidence, weights, num_bins).compute(), norm)
    unknown = pairs.full | jnp.any(jnp.isnan(confidence) & (weights != 0))
    return jnp.where(unknown, jnp.nan, value)


def _calibration_error(sums: Float[Array, "3 bins classes"], norm: Norm) -> Float[Array, ""]:
    counts, right, confidence = sums
    gaps = jnp.abs(safe_divide(right, counts) - safe_divide(confidence, counts))
    if norm == "max":
        return jnp.mean(jnp.max(gaps, axis=0))
    shares = safe_divide(counts, jnp.broadcast_to(jnp.sum(counts, axis=0), counts.shape))
    each = jnp.sum(shares * gaps, axis=0) if norm == "l1" else jnp.sqrt(jnp.sum(shares * gaps**2, axis=0))
    return jnp.mean(each)
