"""Metrics whose metric value is made of what others accumulate too: counts, a confusion matrix, a histogram, pairs."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Num, Shaped

from ..._describe import is_arraylike
from ..._injection._at import Selection
from ..._terms._accumulator import Accumulator
from ..._terms._metric import Metric
from ..._terms._term import Context
from ..._types import PyTree
from ._value_of import ValueOf


class Source(NamedTuple):
    """What is accumulated of labels and predictions. Equal ones accumulate the same."""

    function: Callable[..., Accumulator]
    """A function of a module, of `y_true`, `y_pred`, `sample_weight` and the options."""
    options: tuple[tuple[str, object], ...]


def source(function: Callable[..., Accumulator], **options: object) -> Source:
    """Return what a function accumulates with some options, which are hashable."""
    return Source(function, tuple(options.items()))


class Derived(Metric):
    """A metric whose metric value is made of what others may accumulate too: within a model they share it."""

    @abc.abstractmethod
    def _source(self, y_true: Array, y_pred: Array) -> Source:
        """Return what is accumulated of labels and predictions of such shapes and dtypes, whether they fit or not."""

    # Of whatever class the source gives; each family says which.
    @abc.abstractmethod
    def _metric_value(self, accumulated: Any) -> ValueOf:
        """Return what is made of it."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Shaped[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> ValueOf:
        """Return the metric value, whose part is what is accumulated."""
        function, options = self._source(y_true, y_pred)
        return self._metric_value(function(y_true, y_pred, sample_weight, **dict(options)))

    def _accumulates(self, context: Context) -> tuple[Source, Selection] | None:
        """Return what equal metrics of a model share, as something that is equal where it is the same."""
        given: list[PyTree] = [context.available.get(name) for name in ("y_true", "y_pred")]
        # What a user's own `call` accumulates is not known, and what is no array is refused there.
        if type(self).call is not Derived.call or not all(is_arraylike(one) for one in given):
            return None
        return self._source(*given), self.on
