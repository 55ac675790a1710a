"""One loss or metric: from the values there are to what it makes of them.

A loss and a metric are the same kind of thing, a function that asks for values by name and returns per-example values
(or an `Accumulator`). What they have in common is here; how the values are then averaged differs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax

from .._describe import is_arraylike
from .._injection._at import At, Selection
from .._injection._hints import Vocabulary
from .._injection._inject import Request, call, function_name, places, request, taken, written
from .._types import PyTree, Values

Available = Mapping[str, Any]
Kind = Literal["loss", "metric"]

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
    size: int
    """How many examples there are."""
    sample_weight: PyTree = None
    vocabulary: Vocabulary | None = None
    """The axes that mean the same in every loss and metric of a model; only `batch` where it is empty."""


class Asking(NamedTuple):
    """What a loss or metric asks for, and what is made of it."""

    label: str
    """How errors call what is called: `MSE.call`."""
    request: Request
    run: Callable[[Context], PyTree]
    """Computes the result from a context whose values are those that were asked for."""
    fn: Callable[..., Any] | None = None
    """The function whose annotations say what its arguments are, if there is one."""
    returns_result: bool = True
    """Whether what that function returns is the result, which then fits its annotation."""

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> "Asking":
        """Return what a function asks for that is called with the values that its signature names."""
        return cls(function_name(fn), request(fn), lambda context: call(fn, context.available), fn)

    @property
    def places(self) -> Mapping[str, At]:
        """Which parts of the values are wanted, by the annotations."""
        return {} if self.fn is None else places(self.fn)

    def take(self, available: Available, who: str, absent: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the values that are asked for, by name."""
        return taken(self.request, self.places, available, who, self.label, absent)


class Term(NamedTuple):
    """A loss or a metric of a model, or a plain function that stands for one."""

    kind: Kind
    name: str
    """What it is called in the logs."""
    thing: PyTree
    """The object or function that the user wrote."""
    asking: Asking
    on: Selection
    local_axes: bool
    weight: PyTree = 1.0
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
        label = self.asking.label
        return f"{self.kind} `{self.name}`" + (f" ({label})" if label != self.name else "")


def is_term_object(thing: object) -> bool:
    """Whether this is a `Loss` or a `Metric`, and no plain function."""
    return hasattr(thing, "_asking")


def make_term(kind: Kind, thing: PyTree, name: str) -> Term:
    """Return the term of a `Loss` or `Metric`, or of a plain function that is used as one.

    **Arguments:**

    - `kind`: `loss` or `metric`.
    - `thing`: the object or function.
    - `name`: what it is called in the logs.
    """
    if not is_term_object(thing):
        # An attribute of the function, which decorators copy; partials don't.
        local_axes = getattr(thing, "local_axes", getattr(written(thing), "local_axes", False))
        return Term(kind, name, thing, Asking.of(thing), (), local_axes)
    return Term(
        kind,
        name,
        thing,
        thing._asking(),
        thing.on or (),
        thing.local_axes,
        getattr(thing, "weight", 1.0) if kind == "loss" else 1.0,
        getattr(thing, "reduction", "sum_over_batch_size"),
        # Along another axis, elements can't be told apart by putting an axis behind them.
        getattr(thing, "elementwise", False) and getattr(thing, "axis", -1) == -1,
        getattr(thing, "several_labels", False),
        getattr(thing, "ignore_class", None),
    )


def size_of(values: Values) -> int:
    """Return how many examples there are in some values: the length of the first axis of the first array.

    One where there are none: the leaves of parameters or states are no examples.
    """
    no_examples = ("parameters", "states", "class_weight", "step", "module", "key")
    others = [name for name in values if name not in no_examples]
    for name in ("y_pred", "y_true", "x", *others):
        for leaf in jax.tree.leaves(values.get(name)):
            if is_arraylike(leaf) and len(leaf.shape) > 0:
                return leaf.shape[0]
    return 1
