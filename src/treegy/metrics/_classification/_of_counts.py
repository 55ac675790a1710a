"""Metrics that are ratios of how many predictions of two classes are right and wrong."""

from typing import ClassVar

import equinox as eqx

from ..._converters import integer
from .._accumulators._shared import Derived
from ._averages import as_zero_division, check_zero_division


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

    def __check_init__(self) -> None:
        check_zero_division(self.zero_division)
