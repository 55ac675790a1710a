"""A metric value that is a vector, as one metric value for each class."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array

from ..._describe import array_name, describe
from ..._errors import ContractError
from ..._terms._accumulator import Accumulator
from ..._terms._naming import default_name
from ..._terms._read import seen
from ..._terms._term import Context
from ..._types import PyTree
from ._wrapper import Wrapper, parts_of


class Named(Accumulator):
    """An accumulator whose metric value is an array, as one metric value for each element of its first axis."""

    part: Accumulator
    labels: tuple[str, ...] | None = eqx.field(static=True)

    merges_parts: ClassVar[bool] = True

    def empty(self) -> "Named":
        return Named(self.part.empty(), self.labels)

    def merge(self, other: "Named") -> "Named":
        return Named(self.part.merge(other.part), self.labels)

    def compute(self) -> PyTree:
        return jax.tree.map(self._named, self.part.compute())

    def _named(self, metric_values: Array) -> OrderedDict[str, Array]:
        labels = [str(i) for i in range(len(metric_values))] if self.labels is None else self.labels
        return OrderedDict(zip(labels, metric_values, strict=True))


def as_labels(labels: Iterable[str] | None) -> tuple[Any, ...] | None:
    """**Raises:** `TypeError` for what isn't names."""
    found = () if labels is None else (labels,) if isinstance(labels, str) else tuple(labels)
    for label in found:
        if not isinstance(label, str):
            raise TypeError(f"`labels` are the names of the classes, strings, and one is {describe(label)}.")
    return None if labels is None else found


class Classwise(Wrapper):
    """A metric whose value is a vector, shown as one value for each of its elements: `recall/cat`, `recall/dog`.

    It is called after the metric. A value of several axes is split along the first. Where the metric shows
    several metric values, each of them is split: `recall_bootstrap/mean/cat`.

    **Raises:** `TypeError` where `metric` isn't a metric, or a label isn't a string, `ValueError` where one label comes
    twice. [`treegy.ContractError`][] where the metric value is a scalar, or there are more or fewer labels than
    elements.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        recall = tg.metrics.Classwise(tg.metrics.Recall(thresholds=[0.2, 0.6]), labels=["low", "high"])
        found = recall(jnp.array([1, 1, 0]), jnp.array([0.4, 0.8, 0.6])).compute()
        assert (list(found), float(found["low"]), float(found["high"])) == (["low", "high"], 1, 0.5)
        ```
    """

    labels: Any = eqx.field(default=None, kw_only=True, static=True, converter=as_labels)
    """The names of the classes, in the order of the metric value; by default their numbers from 0 on."""

    def __check_init__(self) -> None:
        for label in self.labels or ():
            if self.labels.count(label) > 1:
                raise ValueError(f"`labels` has {describe(label)} twice, and each class has a name of its own.")

    def _wrapped_name(self) -> str:
        return default_name("metric", self.metric)

    def _over(self, context: Context) -> dict[str, Accumulator]:
        return {name: self._named(one) for name, one in parts_of(self._term(), context).items()}

    def _accumulates(self, context: Context) -> Hashable:
        what = self.metric._accumulates(seen(self._term(), context)) if hasattr(self.metric, "_accumulates") else None
        # What the metric reads is a part of what is read here.
        return what if what is None or not self.on else (*what, self.on)

    def _metric_value(self, accumulated: Accumulator) -> Named:
        return self._named(self.metric._metric_value(accumulated))

    def _named(self, one: Accumulator) -> Named:
        for metric_value in jax.tree.leaves(jax.eval_shape(lambda part: part.compute(), one)):
            self._check(metric_value)
        return Named(one, self.labels)

    def _check(self, metric_value: jax.ShapeDtypeStruct) -> None:
        if metric_value.ndim == 0:
            raise ContractError(
                f"`Classwise` splits a value that is a vector, and that of `{self._wrapped_name()}` is a scalar, "
                f"{array_name(metric_value)}."
            )
        if self.labels is not None and len(self.labels) != metric_value.shape[0]:
            raise ContractError(
                f"`labels` has {len(self.labels)} names, and the metric value {array_name(metric_value)} of "
                f"`{self._wrapped_name()}` has {metric_value.shape[0]} elements."
            )
