"""Convolutions in loops on the CPU.

XLA:CPU has fast kernels for convolutions whose dimensions come in one order: batch, space, channels, and for the
kernel space, input, output. It brings other convolutions into that order itself, but only in a program's entry. In
the body of a loop they fall back to a kernel that is ten times slower and more, so that many steps a call would be
slower than one. Here the traced program is given that order before it is compiled.
"""

import os
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import jax.extend.core as jex

from .._placement import default_device
from .._types import Function, PyTree
from .._warn import warn
from ._convolution_forms import Convolution, Form, apart, form_of, sums_of_products
from ._equations import equations

_conv_p = jex.primitives.conv_general_dilated_p

# One class with `Jaxpr` since JAX 0.12, which keeps the name for a while.
_ClosedJaxpr: Any = getattr(jex, "ClosedJaxpr", jex.Jaxpr)

# Read once: a program that is compiled stays as it is.
_SWITCHED_ON = os.environ.get("TREEGY_REWRITE_CONVOLUTIONS", "1") != "0"

_T = TypeVar("_T")


def _on_cpu() -> bool:
    return default_device().platform == "cpu"


def channels_last(fn: Function) -> Function:
    """`fn` with its convolutions as the CPU wants them in loops; on other backends, `fn` itself.

    To be called where a loop's body is traced, around what is already differentiated: gradients of convolutions are
    convolutions in yet other orders. Python runs `fn` once a call, and not at all if `fn` is jitted and has been traced
    for such arguments before; if it is jitted without `inline`, nothing is traced operation by operation again either.

    **Arguments:**

    - `fn`: a function of pytrees of arrays, which returns one. Close over what is static.

    **Returns:**

    A function that computes the same, to float rounding. If its program can't be rewritten it is run as it is, with a
    warning.
    """

    def rewritten(*args: Any) -> Any:
        if not (_SWITCHED_ON and _on_cpu()):
            return fn(*args)
        jaxpr, out = jax.make_jaxpr(fn, return_shape=True)(*args)
        try:
            jaxpr = with_channels_last(jaxpr)
        except Exception as e:  # Whatever a later JAX changes: it may cost speed, and must not cost the training.
            warn(
                "The convolutions of this step can't be rewritten for loops on the CPU, where they will be slow: "
                f"{e!r}. Has jax {jax.__version__} changed its jaxprs? `TREEGY_REWRITE_CONVOLUTIONS=0` silences this.",
            )
        leaves = jex.jaxpr_as_fun(jaxpr)(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(out), leaves)

    return rewritten


def slow_in_loops(fn: Function, *args: Any) -> bool:
    """Whether `fn`, even after `channels_last`, has convolutions that are slower in a loop than a step at a time."""
    if not _on_cpu():
        return False
    jaxpr = jax.make_jaxpr(channels_last(fn))(*args)
    return not all(fast_in_loops(eqn) for eqn in convolutions(jaxpr.jaxpr))


def with_channels_last(jaxpr: _T) -> _T:
    """Return a jaxpr, open or closed, with its convolutions in the CPU's order, at whatever depth.

    The same object, if there are none to change. Everything else stays as it is: names, effects, shardings, what is
    donated, and the rules of custom derivatives, which hold as well for a program that computes the same.
    """
    return _rewritten(jaxpr, {})


def convolutions(jaxpr: jex.Jaxpr) -> Iterator[jex.JaxprEqn]:
    """Yield the convolutions of a jaxpr, at whatever depth."""
    return (eqn for eqn in equations(jaxpr) if eqn.primitive is _conv_p)


def fast_in_loops(conv: jex.JaxprEqn) -> bool:
    """Whether a convolution is as fast in a loop as it can be."""
    numbers, groups = conv.params["dimension_numbers"], conv.params["feature_group_count"]
    kernel: Any = conv.invars[1].aval
    if conv.params["batch_group_count"] > 1 or _form(conv) is not None:
        return False
    # Depthwise: the kernel that others must avoid is the faster one, by 5 to 24 times.
    depthwise = groups > 1 and kernel.shape[numbers.rhs_spec[1]] == 1
    return depthwise or numbers == _numbers(len(numbers.lhs_spec))


def _form(conv: jex.JaxprEqn) -> Form | None:
    """Return what computes it faster, where there is something."""
    lhs, rhs, out = (v.aval for v in (*conv.invars, *conv.outvars))
    return form_of(_described(lhs, rhs, out, conv.params))


def _described(lhs: Any, rhs: Any, out: Any, params: dict[str, Any]) -> Convolution:
    numbers = params["dimension_numbers"]
    lhs_shape, rhs_shape, out_shape = (
        tuple(a.shape[d] for d in (spec[first], *spec[2:], spec[last]))
        for a, spec, first, last in zip((lhs, rhs, out), numbers, (0, 1, 0), (1, 0, 1), strict=True)
    )
    kernel = (*rhs_shape[1:-1], rhs_shape[0], rhs_shape[-1])
    changed = params | {"dimension_numbers": _numbers(lhs.ndim)}
    return Convolution(lhs_shape, kernel, out_shape, (lhs.dtype, rhs.dtype, out.dtype), changed)


def _numbers(ndim: int) -> jax.lax.ConvDimensionNumbers:
    """Batch, space, channels; and space, input, output."""
    space = tuple(range(1, ndim - 1))
    data = (0, ndim - 1, *space)
    return jax.lax.ConvDimensionNumbers(data, (ndim - 1, ndim - 2, *(d - 1 for d in space)), data)


def _rewritten(value: PyTree, done: dict[int, Any]) -> Any:
    """Return a jaxpr, or a tuple in which there may be some, rewritten; anything else, and what has nothing
    to rewrite, as the same object. A jaxpr that is used in many places stays one jaxpr, to be lowered once."""
    if id(value) in done:
        return done[id(value)]
    new = value
    if isinstance(value, jex.Jaxpr):
        eqns = [new for eqn in value.eqns for new in _equations(eqn, done)]
        if len(eqns) != len(value.eqns) or any(a is not b for a, b in zip(eqns, value.eqns, strict=True)):
            new = value.replace(eqns=eqns)
    elif isinstance(value, _ClosedJaxpr):
        inner = _rewritten(value.jaxpr, done)
        if inner is not value.jaxpr:
            new = _ClosedJaxpr(inner, value.consts)
    elif isinstance(value, tuple):
        items = [_rewritten(v, done) for v in value]
        if any(a is not b for a, b in zip(items, value, strict=True)):
            new = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    else:
        return value
    done[id(value)] = new
    return new


def _equations(eqn: jex.JaxprEqn, done: dict[int, Any]) -> list[jex.JaxprEqn]:
    """Return what an equation becomes."""
    if eqn.primitive is _conv_p:
        return [eqn] if fast_in_loops(eqn) else _convolution(eqn)
    params = {name: _rewritten(value, done) for name, value in eqn.params.items()}
    return [eqn] if all(params[name] is value for name, value in eqn.params.items()) else [eqn.replace(params=params)]


def _convolution(eqn: jex.JaxprEqn) -> list[jex.JaxprEqn]:
    """Return a convolution between the transpositions that it needs."""
    avals: list[Any] = [v.aval for v in eqn.invars]
    like = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals]
    # Traced again for every convolution: so its variables are new ones, which no other equation has.
    closed = jax.make_jaxpr(lambda lhs, rhs: _conv(lhs, rhs, eqn.params, eqn.outvars[0].aval))(*like)
    new = closed.jaxpr
    if new.outvars[0].aval != eqn.outvars[0].aval or closed.consts:
        return [eqn]  # explicit shardings and the like, of which the shapes above say nothing
    names: dict[Any, Any] = {**dict(zip(new.invars, eqn.invars, strict=True)), new.outvars[0]: eqn.outvars[0]}
    return [
        e.replace(
            invars=[v if isinstance(v, jex.Literal) else names.get(v, v) for v in e.invars],
            outvars=[names.get(v, v) for v in e.outvars],
            source_info=eqn.source_info,
            ctx=eqn.ctx,
        )
        for e in new.eqns
    ]


def _conv(lhs: jax.Array, rhs: jax.Array, params: dict[str, Any], out: Any) -> jax.Array:
    """Return the convolution of these parameters, computed in the CPU's order.

    **Arguments:**

    - `out`: the shape and dtype of the result.
    """
    lhs_spec, rhs_spec, out_spec = params["dimension_numbers"]
    conv = _described(lhs, rhs, out, params)
    form = form_of(conv)
    groups, batch, channels, space = conv.batch_groups, lhs_spec[0], lhs_spec[1], lhs_spec[2:]
    kernel = (*rhs_spec[2:], rhs_spec[1], rhs_spec[0])
    if form is sums_of_products:
        lhs, kernel = jax.lax.transpose(lhs, (channels, *space, batch)), (rhs_spec[1], *rhs_spec[2:], rhs_spec[0])
    elif groups == 1 or form is not None:
        lhs = jax.lax.transpose(lhs, (batch, *space, channels))
    else:
        # Groups of examples, each with its own kernels, are as well groups of channels of fewer examples.
        examples = lhs.shape[batch] // groups
        lhs = jax.lax.reshape(lhs, (*lhs.shape[:batch], groups, examples, *lhs.shape[batch + 1 :]))
        channels, *space = (d + (d > batch) for d in (channels, *space))
        lhs = jax.lax.transpose(lhs, (batch + 1, *space, batch, channels))
        lhs = jax.lax.reshape(lhs, (*lhs.shape[:-2], groups * lhs.shape[-1]))
        conv = conv.of_channels(lhs.shape)
        form = form_of(conv)
    rhs = jax.lax.transpose(rhs, kernel)
    if form is not None:
        found = apart(lambda lhs, rhs: form(lhs, rhs, conv).astype(out.dtype), lhs, rhs)
    else:
        # Bound directly, so that parameters that are of no interest here, also those to come, are kept as they are.
        found = _conv_p.bind(lhs, rhs, **conv.params)
    order = dict(zip(out_spec, _numbers(lhs.ndim).out_spec, strict=True))
    found = jax.lax.transpose(found, tuple(order[d] for d in range(found.ndim)))
    # XLA takes what was transposed for lying in memory in the old order, and what is computed from it elementwise, too;
    # then it splits sums over it (a bias's gradient) in a way that moves everything about once more. A sum over one
    # element, which costs nothing, makes it forget the order: 5 to 15 % of whole training steps.
    return jax.lax.reduce_sum(jax.lax.expand_dims(found, (0,)), (0,))
