"""`Metric`: the base class of metrics."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx

from .._errors import InjectionError
from .._injection._at import selection
from .._types import PyTree
from ._accumulator import Mean
from ._called_by_hand import standing_alone
from ._naming import as_name, default_name
from ._reduce import parts
from ._term import Asking, Context, make_term, size_of


class Metric(eqx.Module):
    r"""The base class of metrics: implement `call`, which returns one value per example.

    `call` is what it is in [`treegy.Loss`][]. Its value is $\sum w v / \sum w$ over all examples since the epoch
    (or the evaluation) began, however these were cut into batches. What isn't such a mean returns an
    [`treegy.Accumulator`][], and then asks for `sample_weight` to be usable with weights.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg
        from jaxtyping import Array, Bool, Float, Int

        class Accuracy(tg.Metric):
            def call(
                self, y_true: Int[Array, "batch"], y_pred: Float[Array, "batch classes"]
            ) -> Bool[Array, "batch"]:
                return y_true == jnp.argmax(y_pred, axis=-1)

        accuracy = Accuracy()
        some = accuracy(jnp.array([0, 1]), jnp.eye(2))
        more = accuracy(jnp.array([1]), jnp.array([[1.0, 0.0]]))
        assert abs(float(some.merge(more)) - 2 / 3) < 1e-6
        ```
    """

    on: Any = eqx.field(default=(), kw_only=True, static=True, converter=selection)
    """Which part of `y_true` and `y_pred` is meant: a key, an index, a path of them, or a dict from names to these."""
    name: str | None = eqx.field(default=None, kw_only=True, static=True, converter=as_name)
    """The name in the logs; made of the class's name by default."""

    local_axes: ClassVar[bool] = False
    """Whether the axis names in the annotations of `call`, except `batch`, are its own and not the model's."""
    predictions: ClassVar[str | None] = None
    """What `y_pred` is meant to hold, if anything in particular: one of those that [`treegy.debug.doubts`][] lists."""
    elementwise: ClassVar[bool] = False
    """Whether `call` compares `y_true` and `y_pred` element by element and averages the last axis, if there is one
    besides the batch. A `sample_weight` of the shape of `y_true` then weighs the elements before they are averaged."""
    exempt_from: ClassVar[Mapping[str, str]] = {}
    """The laws of `treegy.testing` that it can't keep by what it means, each with the reason."""

    @abc.abstractmethod
    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the value of each example, or an accumulator. Takes whatever it names."""

    def _asking(self) -> Asking:
        """Return what is asked for, and what is made of it: what `call` names, and what it returns."""
        return Asking.of(self.call)

    def __call__(self, *args: Any, sample_weight: PyTree = None, **kwargs: Any) -> Any:
        """This batch's [`treegy.Accumulator`][], or a dict of them for a metric of several parts.

        **Arguments:**

        - `*args`, `**kwargs`: the values that `call` asks for, by name or in its order. NumPy arrays become jax arrays.
        - `sample_weight`: `(batch, ...)`, lining up with the leading axes of the values.
        """
        term = make_term("metric", self, default_name("metric", self))
        values = standing_alone(term.asking, args, {**kwargs, "sample_weight": sample_weight})
        if values.get("class_weight") is not None and "class_weight" not in term.asking.request:
            raise InjectionError(
                f"`{term.asking.label}` doesn't ask for `class_weight`, which weighs losses alone: "
                "pass `sample_weight`."
            )
        accumulators = parts(term, Context(values, size_of(values), values["sample_weight"]), Mean.of)
        return accumulators[""] if list(accumulators) == [""] else accumulators
