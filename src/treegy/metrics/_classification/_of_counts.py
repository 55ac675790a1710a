"""Metrics that are ratios of how many predictions of two classes are right and wrong."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array

from ..._converters import integer
from .._accumulators._shared import Derived, Source
from ._averages import Average, as_average, as_zero_division, check_average
from ._binary_counts import Thresholds, as_thresholds, check_thresholds, counts_at


class OfCounts(Derived):
    """What precision, recall, specificity and the F scores share."""

    predictions: ClassVar[str | None] = "probabilities"

    top_k: int | None = eqx.field(
        default=None,
        kw_only=True,
        static=True,
        converter=integer("top_k", "how many of the largest predictions count", least=1, optional=True),
    )
    """Only the `top_k` largest predictions along the last axis can be positive; without thresholds, they all are."""
    class_id: int | None = eqx.field(
        default=None,
        kw_only=True,
        static=True,
        converter=integer("class_id", "an index along the last axis", least=0, optional=True),
    )
    """The only class that is looked at, an index along the last axis: the metric value is that of this class."""
    # Static, since it belongs to what is made of the counts.
    zero_division: float = eqx.field(default=0.0, kw_only=True, static=True, converter=as_zero_division)
    """What the metric value of a class is where its denominator is 0: 0, 1 or NaN, which means of classes leave out."""


class AveragedOverClasses(OfCounts):
    """A metric value of the counts of each class, or of all classes together."""

    thresholds: Thresholds | None = eqx.field(default=None, kw_only=True, converter=as_thresholds)
    """A number, 0.5 by default; or a list of them, for a vector of metric values."""
    average: Average = eqx.field(default="micro", kw_only=True, static=True, converter=as_average)
    """`"micro"` counts all classes together; `None` gives a metric value of each class, an index along the last axis;
    `"macro"` their mean, and `"weighted"` that weighted by how often each class is the label."""

    def __check_init__(self) -> None:
        check_thresholds(self.thresholds)
        check_average(self.average, self.class_id)

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        per_class = self.average != "micro"
        return counts_at(self.thresholds, top_k=self.top_k, class_id=self.class_id, per_class=per_class)
