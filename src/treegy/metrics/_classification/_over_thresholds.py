"""Metrics that are known at some thresholds, over which predictions of two classes are positive."""

import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array

from ..._converters import flag, integer
from .._accumulators._shared import Derived, Source
from ._threshold_histogram import buckets_at


class OverThresholds(Derived):
    """What the best values and the curves share: they are made of the counts at thresholds, of all classes or one."""

    predictions: ClassVar[str | None] = "probabilities"

    # Static, since they fix what is accumulated.
    class_id: int | None = eqx.field(
        default=None,
        kw_only=True,
        static=True,
        converter=integer("class_id", "an index along the last axis", least=0, optional=True),
    )
    """The only class that is looked at, an index along the last axis. All are counted as one by default."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""

    @abc.abstractmethod
    def _thresholds(self) -> tuple[float, ...]:
        """Return the thresholds, in increasing order."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return buckets_at(self._thresholds(), from_logits=self.from_logits, class_id=self.class_id)
