"""`QueryMetric`: what metrics of rankings have in common, a value for each query."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag, integer
from ..._terms._metric import Metric
from ..._terms._weights import Masked
from ._ranked import Ranked, ranked


class QueryMetric(Metric):
    """A metric that has a value for each query."""

    k: int | None = eqx.field(
        default=None,
        kw_only=True,
        static=True,
        converter=integer("k", "how many documents are looked at", least=1, optional=True),
    )
    """How many documents are looked at, from the highest score on; all by default."""
    skip_empty: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("skip_empty"))
    """Whether queries without any relevant document don't count. They have the value 0 otherwise."""

    @abc.abstractmethod
    def _of_queries(self, documents: Ranked) -> Float[Array, "..."]:
        """Return the value of each query, from its documents in the order of their scores."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Any:
        documents = ranked(y_true, y_pred)
        values = self._of_queries(documents)
        return Masked(values, documents.some) if self.skip_empty else values
