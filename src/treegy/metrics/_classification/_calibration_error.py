"""How far the confidence of predictions is from how often they are right."""

from typing import ClassVar, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag, integer
from ..._terms._accumulator import safe_divide
from ..._terms._classes import class_labels
from ..._terms._elementwise import in_floats, matched
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from .._accumulators._counting import element_weights, histogram, spoiled, weighted_at_all
from .._accumulators._value_of import ValueOf
from ._binary_counts import is_binary
from ._class_indices import holds_class_indices, scored_class
from ._options import OneOf

Norm: TypeAlias = Literal["l1", "l2", "max"]

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

    A label that isn't a class, or a prediction that is NaN, makes the metric value NaN.

    **Raises:** `ValueError` where `num_bins` is less than 1, or `norm` is unknown. [`treegy.ContractError`][] where the
    shapes are neither.

    ??? cite "Reference"

        Guo et al., *On calibration of modern neural networks*, 2017.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.CalibrationError()
        metric_value = float(error(jnp.array([0, 1, 1, 1]), jnp.array([0.75, 0.75, 0.75, 0.75])))
        assert abs(metric_value) < 1e-6
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

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Shaped[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        if holds_class_indices(y_true, y_pred):
            labels = class_labels(y_true, y_pred)
            _, scores = in_floats(y_true, y_pred)
            confidence = jnp.max(jax.nn.softmax(scores, axis=-1) if self.from_logits else scores, axis=-1)
            right = scored_class(scores, -1) == labels.astype(jnp.int32)
            invalid = (labels < 0) | (labels >= scores.shape[-1])
        else:
            labels, scores = matched(y_true, y_pred)
            confidence = jax.nn.sigmoid(scores) if self.from_logits else scores
            right, invalid = labels == 1, ~is_binary(labels)
        weights = element_weights(sample_weight, confidence)
        invalid = jnp.any(weighted_at_all(invalid | jnp.isnan(confidence), weights))
        # By bin: how many predictions there are, how many of them are right, and the sum of their confidence.
        edges = jnp.asarray([i / self.num_bins for i in range(1, self.num_bins)], confidence.dtype)
        bins = jnp.searchsorted(edges, confidence, side="left", method="scan_unrolled")
        right = jnp.where(right, bins, jnp.full_like(bins, self.num_bins))
        summed = ((bins, weights), (right, weights), (bins, weigh(confidence, sample_weight)[0]))
        sums = [histogram(each, (self.num_bins,), of, confidence.dtype) for each, of in summed]
        sums = spoiled(jax.tree.map(lambda *each: jnp.stack(each), *sums), invalid)
        return ValueOf(sums, _calibration_error, norm=self.norm)


def _calibration_error(sums: Float[Array, "3 bins"], norm: Norm) -> Float[Array, ""]:
    counts, right, confidence = sums
    gaps = jnp.abs(safe_divide(right, counts) - safe_divide(confidence, counts))
    if norm == "max":
        return jnp.max(gaps)
    shares = safe_divide(counts, jnp.broadcast_to(jnp.sum(counts), counts.shape))
    return jnp.sum(shares * gaps) if norm == "l1" else jnp.sqrt(jnp.sum(shares * gaps**2))
