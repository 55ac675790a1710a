"""`Loss`: the base class of losses."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx

from .._converters import OneOf
from .._describe import describe, is_arraylike
from .._injection._at import selection
from .._types import PyTree
from ._accumulator import compute_all
from ._called_by_hand import standing_alone
from ._class_weight import weighed_by_hand
from ._naming import as_name, default_name
from ._reduce import parts, reducer, scaled, unreduced
from ._term import REDUCTIONS, Asking, Context, make_term, size_of


class Loss(eqx.Module):
    r"""The base class of losses: implement `call`, which returns one value per example.

    `call` asks for what it needs by naming it: `x`, `y_true`, `y_pred`, `sample_weight`, `class_weight`, `training`,
    `initializing`, `parameters`, `states`, `step`, `module`, `key`. Its annotations are checked while tracing. What it
    returns is weighted and averaged here, never in `call`:

    - an array `(batch, ...)` of values; or [`treegy.Masked`][], of which some don't count;
    - a dict of such arrays: each part is shown under its name, and all of them add up;
    - an [`treegy.Accumulator`][], for what isn't a mean;
    - a scalar, where no weights are given: a metric value of the whole batch.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg
        from jaxtyping import Array, Float

        class MSE(tg.Loss):
            def call(
                self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]
            ) -> Float[Array, "batch"]:
                return jnp.mean((y_true - y_pred) ** 2, axis=-1)

        assert MSE()(jnp.zeros((4, 2)), jnp.ones((4, 2))) == 1
        ```
    """

    weight: PyTree = eqx.field(default=1.0, kw_only=True)
    """What the loss is multiplied with in the total: a number, an array of no axes, or a schedule as Optax has them, a
    function of the step, whose value of each step multiplies the loss of its batch."""
    reduction: str = eqx.field(
        default="sum_over_batch_size", kw_only=True, static=True, converter=OneOf("reduction", *REDUCTIONS)
    )
    r"""`"sum_over_batch_size"` ($\sum w l / N$), `"weighted_mean"` ($\sum w l / \sum w$), `"sum"` or `"none"`."""
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
    several_labels: ClassVar[bool] = False
    """Whether each column of `y_true` is a label of its own, which class weights then weigh one by one; else labels of
    as many axes as `y_pred` are one-hot."""
    exempt_from: ClassVar[Mapping[str, str]] = {}
    """The laws of `treegy.testing` that it can't keep by what it means, each with the reason."""

    def __check_init__(self) -> None:
        number = isinstance(self.weight, int | float) or (is_arraylike(self.weight) and self.weight.shape == ())
        if isinstance(self.weight, type) or not (number or callable(self.weight)):
            raise TypeError(
                f"`weight` is a number or a schedule, a function of the step, and got {describe(self.weight)}."
            )

    @abc.abstractmethod
    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of each example. Takes whatever it names."""

    def _asking(self) -> Asking:
        """Return what is asked for, and what is made of it: what `call` names, and what it returns."""
        return Asking.of(self.call)

    def __call__(self, *args: Any, sample_weight: PyTree = None, **kwargs: Any) -> Any:
        """Return the reduced, weighted loss: a scalar, or a dict of them for a loss of several parts.

        **Arguments:**

        - `*args`, `**kwargs`: the values that `call` asks for, by name or in its order. NumPy arrays become jax arrays.
        - `sample_weight`: `(batch, ...)`, lining up with the leading axes of the values.
        - `class_weight`: `{class: weight}` or an array, for a loss that reads labels: NaN for a label without one.
        - `step`: where `weight` is a schedule, the step whose weight is meant.
        """
        term = make_term("loss", self, default_name("loss", self))
        values = standing_alone(term.asking, args, {**kwargs, "sample_weight": sample_weight})
        context = Context(values, size_of(values), values["sample_weight"])
        reading = weighed_by_hand(term, context)
        if self.reduction == "none":
            return unreduced(term, context, reading)
        accumulators = parts(term, context, reducer(self.reduction), reading)
        metric_values = compute_all({k: scaled(term, v, context) for k, v in accumulators.items()})
        return metric_values[""] if list(metric_values) == [""] else metric_values
