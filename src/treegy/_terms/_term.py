"""One loss or metric: from the values there are to what it makes of them.

A loss and a metric are the same kind of thing, a function that asks for values by name and returns per-example values
(or an `Accumulator`). What they have in common is here; how the values are then averaged differs.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax

from .._describe import is_arraylike
from .._injection._at import Selection
from .._injection._hints import Vocabulary
from .._injection._inject import function_name, written

Available = Mapping[str, Any]

REDUCTIONS = ("sum_over_batch_size", "weighted_mean", "sum", "none")

# Everything that a loss or metric of a model can ask for.
INJECTED = (
    "x",
    "y_true",
    "y_pred",
    "sample_weight",
    "class_weight",
    "training",
    "initializing",
    "parameters",
    "states",
    "step",
    "module",
    "key",
)

# A `call` that asks for none of these, such as a regularizer, has no examples that could be weighted.
OF_EXAMPLES = ("x", "y_true", "y_pred")


class Context(NamedTuple):
    """What is the same for every loss and metric of a model in one step."""

    available: Available
    """The values that can be asked for, by name."""
    size: Any
    """How many examples there are."""
    sample_weight: Any = None
    vocabulary: Vocabulary | None = None
    """The axes that mean the same in every loss and metric of a model; only `batch` where it is empty."""


class OverBatch:
    """A function of a whole `Context`: what metrics that wrap another one are, which pass it on.

    Its signature says which values it reads, `sample_weight` among them, so that these are checked to be there.
    """

    def __init__(self, who: str, parameters: Iterable[inspect.Parameter], over: Callable[[Context], Any]):
        self.over = over
        self.__qualname__ = who
        self.__signature__ = inspect.Signature(list(parameters))

    def __call__(self, **values: Any) -> Any:
        return self.over(Context(values, size_of(values), values.get("sample_weight")))


class Term(NamedTuple):
    """A loss or a metric, or a plain function that stands for one."""

    kind: str
    """`loss` or `metric`."""
    name: str
    fn: Callable[..., Any]
    """What is called with the values that it asks for."""
    on: Selection
    local_axes: bool
    weight: Any = 1.0
    """What a loss is multiplied with: a number, or a function of the step."""
    reduction: str = "sum_over_batch_size"
    elementwise: bool = False
    """Whether elements are compared one by one, and averaged over the last axis."""
    several_labels: bool = False
    """Whether each column of `y_true` is a label of its own."""
    ignore_class: int | None = None
    """The label whose values don't count."""

    @property
    def who(self) -> str:
        """How errors call it: its name in the logs, and what the user wrote."""
        label = function_name(self.fn)
        return f"{self.kind} `{self.name}`" + (f" ({label})" if label != self.name else "")


def make_term(kind: str, thing: Any, name: str) -> Term:
    """The term of a `Loss` or `Metric`, or of a plain function that is used as one.

    **Arguments:**

    - `kind`: `loss` or `metric`.
    - `thing`: the object or function.
    - `name`: what it is called in the logs.
    """
    if not hasattr(thing, "_function"):
        # An attribute of the function, which decorators copy; partials don't.
        local_axes = getattr(thing, "local_axes", getattr(written(thing), "local_axes", False))
        return Term(kind, name, thing, (), local_axes)
    return Term(
        kind,
        name,
        thing._function(),
        thing.on or (),
        thing.local_axes,
        getattr(thing, "weight", 1.0) if kind == "loss" else 1.0,
        getattr(thing, "reduction", "sum_over_batch_size"),
        # Along another axis, elements can't be told apart by putting an axis behind them.
        getattr(thing, "elementwise", False) and getattr(thing, "axis", -1) == -1,
        getattr(thing, "several_labels", False),
        getattr(thing, "ignore_class", None),
    )


def size_of(values: Mapping[str, Any]) -> Any:
    """How many examples there are in some values: the length of the first axis of the first array.

    One where there are none: the leaves of parameters or states are no examples.
    """
    no_examples = ("parameters", "states", "class_weight", "step", "module", "key")
    others = [name for name in values if name not in no_examples]
    for name in ("y_pred", "y_true", "x", *others):
        for leaf in jax.tree.leaves(values.get(name)):
            if is_arraylike(leaf) and len(leaf.shape) > 0:
                return leaf.shape[0]
    return 1
