"""Metrics of how predictions of two classes are ordered: known at some thresholds, or exactly."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from ..._converters import flag, integer
from ..._terms._accumulator import Sum
from .._accumulators._shared import Derived, Source, source
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Kept, Pairs, kept
from ._exact_histogram import DEFAULT_THRESHOLDS, as_capacity, exact_histogram
from ._threshold_histogram import buckets_at, spread_thresholds


class OfScores(Derived):
    """A metric value of the histogram of negative and of positive labels between thresholds.

    With a `capacity`, labels and predictions are kept, and there is a threshold between any two of them.
    """

    predictions: ClassVar[str | None] = "probabilities"

    # All static: they fix the shape of what is accumulated.
    num_thresholds: int = eqx.field(
        default=DEFAULT_THRESHOLDS,
        kw_only=True,
        static=True,
        converter=integer("num_thresholds", "how many thresholds there are", least=2),
    )
    """How many thresholds there are, evenly spread from 0 to 1: predictions between two of them can't be told apart."""
    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    capacity: int | None = eqx.field(default=None, kw_only=True, static=True, converter=as_capacity)
    """How many examples to keep, so that the metric value is exact; predictions may then be any numbers. By default
    none are, and thresholds are used."""

    def __check_init__(self) -> None:
        if self.num_thresholds != DEFAULT_THRESHOLDS:
            self._refuse_thresholds("num_thresholds")

    def _refuse_thresholds(self, name: str) -> None:
        """Refuse that thresholds are given, by an argument of some name, where predictions are kept as they are."""
        if self.capacity is not None:
            raise ValueError(
                f"`capacity={self.capacity}` keeps predictions as they are, and `{name}` is about thresholds between "
                "which they can't be told apart: leave out one of the two."
            )

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        if self.capacity is not None:
            return source(kept, capacity=self.capacity)
        return buckets_at(spread_thresholds(self.num_thresholds), from_logits=self.from_logits)

    def _made_by(
        self,
        function: Callable[..., Array],
        accumulated: Sum | Pairs,
        *,
        per_class: bool = False,
        in_counts: Sequence[float] | None = None,
        **options: object,
    ) -> ValueOf:
        """Return what a function makes of the histogram.

        **Arguments:**

        - `function`: of a histogram `(2, buckets, classes)` and options.
        - `accumulated`: the histogram, or what was kept of predictions, of which it is made.
        - `per_class`: whether the histogram of what was kept is of each class.
        - `in_counts`: weights along the last axis in the histogram of what was kept.
        - `**options`: of the function, hashable.
        """
        if self.capacity is None:
            return ValueOf(accumulated, function, **options)
        return ValueOf(accumulated, _of_kept, made_by=function, per_class=per_class, in_counts=in_counts, **options)


def _of_kept(
    pairs: Kept,
    *,
    made_by: Callable[..., Array],
    per_class: bool,
    in_counts: Sequence[float] | None,
    **options: object,
) -> Float[Array, "..."]:
    return made_by(exact_histogram(pairs, per_class=per_class, label_weights=in_counts), **options)
