"""Calling a module on a batch: which input goes to which argument, one example at a time or all at once."""

from typing import NamedTuple, get_args, get_origin

import equinox as eqx
import jax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from .._describe import array_name, describe, is_arraylike, listed
from .._errors import ContractError, InjectionError, MissingMethod
from .._injection._contract import axes_of, check
from .._injection._hints import Axis, first_axis
from .._injection._inject import Request, annotations, call, function_name, missing_argument, request
from .._sharding._mesh import Axes
from .._terms._term import Available
from .._types import Length, PyTree, Values
from ._keys import of_examples, of_part
from ._misspelt_inputs import tell_if_misspelt

# What treegy provides by name; everything else that a module requires must come from `x`.
PROVIDED = ("training", "inference", "initializing", "parameters", "states", "key", "state")

_ABSENT = {
    "state": (
        "The model has no `eqx.nn.State`: pass `state=` of `module, state = eqx.nn.make_with_state(...)(...)`. If it "
        "is an input, pass as `x` a tuple of all arguments without a default, or a dict."
    ),
    "key": "There is no `key`: the states have no `rng`.",
}


class Inputs(NamedTuple):
    """Where the parts of `x` go."""

    by_name: dict[str, PyTree]
    rest: tuple[PyTree, ...]
    """What goes to an `*args`, in which case everything is passed by position."""


def module_name(module: PyTree) -> str:
    return f"module `{type(module).__name__ if isinstance(module, eqx.Module) else function_name(module)}`"


def inputs_of(module: PyTree, x: PyTree, stateful: bool) -> Inputs:
    """Return which argument of `module` gets which part of `x`.

    A plain tuple is spread over the positional arguments, a dict over those of its keys that the module names, and
    anything else is the one argument.

    **Arguments:**

    - `stateful`: whether the model has an `eqx.nn.State`, which then is what `state` names.

    **Raises:** [`treegy.InjectionError`][] if there are too many or too few.
    """
    if not callable(module):
        raise MissingMethod(
            f"the module is {describe(module)}, which can't be called: override `pred_step` to say how it predicts."
        )
    wanted = request(module)
    if x is None:
        return Inputs({}, ())
    if type(x) is tuple:
        return _spread(module, wanted, x, stateful)
    if isinstance(x, dict):
        taken = {str(k): v for k, v in x.items() if k in wanted}
        return Inputs(taken, ())
    first = wanted.positional[:1]
    if first:
        return Inputs({first[0]: x}, ())
    if wanted.variadic:
        return Inputs({}, (x,))
    raise InjectionError(
        f"{module_name(module)} takes no input, and `x` is {describe(x)}.\n"
        f"  signature: {function_name(module)}{request(module).text}"
    )


def _spread(module: PyTree, wanted: Request, x: tuple[PyTree, ...], stateful: bool) -> Inputs:
    if wanted.variadic:
        return Inputs({}, x)
    # Arguments that treegy provides are not the inputs' places, unless the inputs are for all that have to be given.
    all_required = [n for n in wanted.positional if n in wanted.required and not (n == "state" and stateful)]
    if len(x) == len(all_required):
        return Inputs(dict(zip(all_required, x, strict=True)), ())
    places = [n for n in wanted.positional if n not in PROVIDED]
    required = [n for n in places if n in wanted.required]
    if not len(required) <= len(x) <= len(places):
        takes = str(len(places)) if len(places) == len(required) else f"{len(required)} to {len(places)}"
        taken = [n for n in all_required if n in PROVIDED]
        also = ""
        if taken:
            names = ", ".join(f"`{n}`" for n in taken)
            also = (
                f"\n  {names} {'is' if len(taken) == 1 else 'are'} provided by treegy, unless `x` is a tuple of "
                f"{len(all_required)}, for all arguments without a default, or a dict that has {names}."
            )
        raise InjectionError(
            f"{module_name(module)} takes {takes} input{'' if takes == '1' else 's'}, and `x` is a tuple of {len(x)}.\n"
            f"  signature: {function_name(module)}{request(module).text}\n"
            f"  x = {describe(x)}{also}"
        )
    return Inputs(dict(zip(places, x, strict=False)), ())


def takes_batch(module: PyTree, inputs: Inputs, batched: bool | None) -> bool:
    """Whether the module takes the whole batch: the model says so, or an input's annotation begins with `batch`."""
    if batched is not None:
        return batched
    hints, wanted = annotations(module), request(module)
    named = [
        *inputs.by_name,
        *(name for name in (wanted.args, wanted.kwargs) if name is not None and (inputs.rest or wanted.everything)),
    ]
    return any(first_axis(hints[n]) == "batch" for n in named if n in hints)


def along(inputs: PyTree, keys: PyTree) -> PyTree:
    """One key per example, on the devices of its example: `vmap` insists on it where a mesh has explicit axes."""
    for leaf in jax.tree.leaves(inputs):
        sharding = getattr(jax.typeof(leaf), "sharding", None) if is_arraylike(leaf) else None
        if isinstance(sharding, NamedSharding) and sharding.spec and sharding.spec[0] is not None:
            return jax.sharding.reshard(keys, NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[0])))
    return keys


def axis_name_of(module: PyTree) -> str:
    """Return what the axis of examples is called: `batch`, unless layers that average over it have another name.

    `eqx.nn.BatchNorm` and others like it have an `axis_name`.
    """
    nodes = jax.tree.leaves(module, is_leaf=lambda node: hasattr(node, "axis_name"))
    names = {node.axis_name for node in nodes if isinstance(getattr(node, "axis_name", None), str)}
    return names.pop() if len(names) == 1 else "batch"


def forward(
    module: PyTree,
    x: PyTree,
    provided: Available,
    *,
    size: Length | None,
    batched: bool | None = None,
    axes: Axes | None = None,
) -> tuple[PyTree, PyTree]:
    """Call `module` on a batch.

    **Arguments:**

    - `module`: any callable.
    - `x`: the inputs of the batch.
    - `provided`: what may be asked for by name: of [`treegy._forward.PROVIDED`][], those that there are.
    - `size`: how many examples there are; `None` where `x` has no examples.
    - `batched`: whether the module takes the whole batch; found out from its annotations if `None`.
    - `axes`: over which axes of a mesh the examples are split, if they are.

    **Returns:**

    `(y_pred, state)`, where `state` is the new `eqx.nn.State`, or `None` if the module doesn't ask for it.
    """
    stateful = provided.get("state") is not None
    inputs = inputs_of(module, x, stateful)
    wanted = request(module)
    named = {n: v for n, v in provided.items() if n in wanted.names and n not in inputs.by_name}
    missing = [n for n in wanted.names if n in wanted.required and n not in inputs.by_name and n not in named]
    if missing and not inputs.rest:
        given = {**(x if isinstance(x, dict) else {"x": x}), **provided}
        absent = {missing[0]: _where_x_went(x, inputs), **_ABSENT}
        raise missing_argument(wanted, missing[0], given, module_name(module), function_name(module), absent)
    tell_if_misspelt(module_name(module), wanted, x, {**inputs.by_name, **named})
    stateful = "state" in named
    if x is None or size is None or takes_batch(module, inputs, batched):
        if "key" in named:
            named["key"] = of_part(named["key"])
        return _call(module, inputs, named, stateful)
    key = named.pop("key", None)
    keys = None if key is None else along(inputs, of_examples(key, size))
    state = named.pop("state", None)

    def one(inputs: Inputs, key: Array | None, state: PyTree) -> tuple[PyTree, PyTree]:
        own = {} if key is None else {"key": key}
        if stateful:
            own["state"] = state
        return _call(module, inputs, {**named, **own}, stateful, ", one example of the batch")

    axis = "batch"

    def mapped() -> tuple[PyTree, PyTree]:
        # What a module constrains of one example is then split over the examples as well.
        over = jax.vmap(
            one, in_axes=(0, 0, None), out_axes=(0, None), axis_name=axis, axis_size=size, spmd_axis_name=axes
        )
        return over(inputs, keys, state)

    try:
        try:
            return mapped()
        except NameError as e:
            if "unbound axis name" not in str(e) or axis_name_of(module) == axis:
                raise
        axis = axis_name_of(module)
        return mapped()
    except ValueError as e:
        if stateful and "out_axes" in str(e):
            raise ValueError(
                f"{module_name(module)} makes a `state` that differs from example to example, and there is one for "
                f'the whole batch. Average over the batch inside the module (`jax.lax.pmean(..., "{axis}")`), as '
                "`eqx.nn.BatchNorm` does, or take the whole batch (`batched=True`)."
            ) from e
        raise
    except NameError as e:
        if "unbound axis name" in str(e):
            e.add_note(
                f"{module_name(module)} is called for one example at a time, and their axis is called "
                f'"{axis}": use that as `axis_name` in all layers.'
            )
        raise
    except ContractError as e:
        if _fit(module, inputs):
            raise ContractError(
                f"{e}\n  It is called for one example at a time. To take the whole batch, name the first axis `batch`, "
                "or pass `batched=True` to the model."
            ) from None
        raise


def _fit(module: PyTree, inputs: Inputs) -> bool:
    """Whether the whole batch is what the annotations of the inputs expect."""
    try:
        check(module, inputs.by_name, who=module_name(module))
    except Exception:
        return False
    return True


def _where_x_went(x: PyTree, inputs: Inputs) -> str:
    if x is None:
        return "There is no `x`: no inputs were given."
    if isinstance(x, dict):
        return f"`x` is a dict, whose keys go to the arguments of the same names: {listed(map(repr, x)) or 'none'}."
    return f"`x` is one input and goes to `{next(iter(inputs.by_name))}`: pass a tuple to give several, or a dict."


def _call(module: PyTree, inputs: Inputs, named: Values, stateful: bool, of: str = "") -> tuple[PyTree, PyTree]:
    who = module_name(module)
    arguments = {**inputs.by_name, **named}
    check(module, arguments, who=who, rest=inputs.rest)
    try:
        result = module(*inputs.rest, **arguments) if inputs.rest else call(module, arguments)
    except Exception as e:
        # What went wrong inside is best known there; what it was called with, here.
        shown = [describe(v) for v in inputs.rest] + [f"{n} = {describe(v)}" for n, v in inputs.by_name.items()]
        e.add_note(f"{who} was called with {', '.join(shown) or 'no inputs'}{of}.")
        if "requires a key" in str(e) and "key" not in arguments:
            e.add_note("A module whose `__call__` has an argument `key` is given one: pass it on to the layer.")
        raise
    check(module, {**arguments, "return": result}, who=who)
    if not stateful:
        return result, None
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], eqx.nn.State):
        return result
    if "state" in request(module).required:
        raise TypeError(f"{who} asks for `state` and must return `(y_pred, state)`; it returned {describe(result)}.")
    return result, None  # `state` was optional, as in `eqx.nn.Sequential` without stateful layers


def vocabulary(
    module: PyTree, x: PyTree, y_pred: PyTree, size: Length | None, batched: bool | None, stateful: bool
) -> dict[str, Axis]:
    """Return the lengths of the axes that the module's annotations name, found from shapes alone."""
    axes: dict[str, Axis] = {}
    if size is not None:
        axes["batch"] = Axis(size, "x")
    inputs = inputs_of(module, x, stateful)
    leading = 0 if size is None or takes_batch(module, inputs, batched) else 1
    hints = annotations(module)
    for name, value in inputs.by_name.items():
        for axis, length in axes_of(hints.get(name), value, leading).items():
            axes.setdefault(axis, Axis(length, "x"))
    result = hints.get("return")
    if "state" in request(module).names and get_origin(result) is tuple:
        result = get_args(result)[0]
    for axis, length in axes_of(result, y_pred, leading).items():
        axes.setdefault(axis, Axis(length, "y_pred"))
    return axes


def size_of_batch(*trees: PyTree) -> Length | None:
    """Return how many examples a batch has: the length of the first axis of its arrays.

    **Raises:** [`treegy.ContractError`][] if there are arrays without axes.
    """
    for tree in trees:
        for leaf in jax.tree.leaves(tree):
            if is_arraylike(leaf):
                if len(leaf.shape) == 0:
                    raise ContractError(f"a batch has examples along its first axis, and got {array_name(leaf)}.")
                return leaf.shape[0]
    return None
