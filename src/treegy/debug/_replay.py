r"""Running a program operation by operation, following what is not finite to where it came from.

Each value has its *blame*: for every origin, which elements are not finite because of it. An operation that makes
something not finite is run again on other inputs, and what remains not finite tells whose fault it is. With
$x = (0, 4)$:

    { lambda ; x. let           value         blame
        a = log x             (-inf, 1.39)    log: (True, False)
        b = gt x 0           (False, True)
        c = select_n b 0 a       (0, 1.39)
        d = mul a 0             (nan, 0)      log: (True, False)
        e = sub x 2              (-2, 2)
        f = sqrt e              (nan, 1.41)   sqrt: (True, False)
        g = min d f             (nan, 0)      log: (True, False), sqrt: (True, False)
      in (c, d, g) }

- `log`: nothing that it is given is to blame for anything, so all that is bad is `fresh`: it is a new origin.
- `select_n`: what it makes is finite. That the infinity was selected away is nobody's fault.
- `mul`: the origins `before` it are one, `log`. It is run on inputs that are `clean`, with 0.5 in place of what isn't
    finite: $0.5 \cdot 0 = 0$. So nothing of it is fresh, and `log` is to blame. This is where its infinity became NaN,
    which is noted in `nan_since`.
- `sqrt`: again fresh, another origin.
- `min`: there are two origins. On clean inputs it makes 0.5, so nothing is fresh. It is run once for each origin, on
    inputs that are clean but for what that one is to blame for. Each `alone` makes NaN, so both are to blame. Of two
    infinities neither would be, as $\min(\infty, 0.5) = 0.5$. Such a `rest`, which takes several origins together, is
    the fault of all.

A program in an equation, such as `jit`, is followed inside. A `scan` is run as a whole first, and looked into only if
something begins in it.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from .._types import PyTree
from ._blame import (
    HARMLESS,
    SMALL,
    Blame,
    Origin,
    Value,
    is_finite,
    is_float,
    is_nan_first,
    not_finite,
    only,
    picked,
    stacked,
)
from ._place import Place

# How many origins one value is followed back to: the earliest ones.
_MOST = 6
# Equations that only call a program, and under which of their parameters it is.
_CALLS = {
    **dict.fromkeys(("pjit", "jit", "checkpoint", "remat", "remat2"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"),
}

Outputs: TypeAlias = tuple[list[Value], list[Blame]]
"""The values that operations return, with the blame of each."""


class Given(NamedTuple):
    """What a program is run on."""

    what: str
    value: Value
    by_example: bool = False
    """Whether its first axis is that of the examples."""


class Replay:
    """A run of a program that knows for each value where what isn't finite in it came from.

    Whatever the operation, an origin is followed through it by running it with all else that isn't finite replaced.
    What is selected away, or becomes finite again as $e^{-\\infty}$ does, is so nobody's fault.
    """

    def __init__(self) -> None:
        self._count = 0
        self.marked: list[tuple[str, Value, Blame]] = []
        """The values that were marked by their place, with their blame."""

    def run(self, closed: jex.ClosedJaxpr, given: Sequence[Given]) -> Outputs:
        """Return what the program returns, and whose fault it is if it isn't finite."""
        values = [g.value for g in given]
        blames: list[Blame] = []
        for i, (what, value, by_example) in enumerate(given):
            bad = not_finite(value)
            before = Origin(i - len(given), Place(), value, given=what, by_example=by_example)
            blames.append({before: bad} if np.any(bad) else {})
        return self._jaxpr(closed.jaxpr, closed.consts, values, blames, Place())

    def _jaxpr(
        self, jaxpr: jex.Jaxpr, consts: Sequence[Value], values: list[Value], blames: list[Blame], around: Place
    ) -> Outputs:
        """Run the operations one after the other, as an interpreter of JAX does."""
        known: dict[jex.Var, tuple[Value, Blame]] = {}
        known.update(zip(jaxpr.invars, zip(values, blames, strict=True), strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            known[var] = const, self._of_constant(const, around)

        def read(var: jex.Var | jex.Literal, place: Place) -> tuple[Value, Blame]:
            return (var.val, self._of_constant(var.val, place)) if isinstance(var, jex.Literal) else known[var]

        for eqn in jaxpr.eqns:
            place = around.inside(eqn)
            read_here = [read(v, place) for v in eqn.invars]
            outs, found = self._equation(eqn, [v for v, _ in read_here], [b for _, b in read_here], place)
            if place.mark is not None:
                self.marked.append((place.mark, outs[0], found[0]))
            known.update(zip(eqn.outvars, zip(outs, found, strict=True), strict=True))
        results = [read(v, around) for v in jaxpr.outvars]
        return [v for v, _ in results], [b for _, b in results]

    def _of_constant(self, value: Value, place: Place) -> Blame:
        """Return the blame of a value that is written in the program."""
        bad = not_finite(value)
        return {Origin(self._count, place, value, constant=True): bad} if np.any(bad) else {}

    def _equation(self, eqn: jex.JaxprEqn, values: list[Value], blames: list[Blame], place: Place) -> Outputs:
        """Run an equation by what it is: a call, a branch, a loop, or an operation."""
        self._count += 1
        name, params = eqn.primitive.name, eqn.params
        inner = params.get(_CALLS.get(name, ""))
        if inner is not None:
            return self._called(inner, values, blames, place)
        if name == "cond":
            branches = params["branches"]
            chosen = branches[int(np.clip(int(np.asarray(values[0])), 0, len(branches) - 1))]
            return self._called(chosen, values[1:], blames[1:], place)

        def run(*values: Value) -> list[Value]:
            found = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
            return list(found) if eqn.primitive.multiple_results else [found]

        if name == "scan":
            return self._block(run, functools.partial(self._scan, eqn), values, blames, place)
        if name == "while":
            # Not a block: on values that are clean it may never end.
            outs = run(*values)
            if all(is_finite(out) for out in outs):
                return outs, [{} for _ in outs]
            return self._while(params, values, blames, place)
        return self._operation(run, values, blames, place, repeatable=not eqn.effects)

    def _called(
        self, inner: jex.Jaxpr | jex.ClosedJaxpr, values: list[Value], blames: list[Blame], place: Place
    ) -> Outputs:
        consts = inner.consts if isinstance(inner, jex.ClosedJaxpr) else ()
        jaxpr = inner.jaxpr if isinstance(inner, jex.ClosedJaxpr) else inner
        return self._jaxpr(jaxpr, consts, values, blames, place)

    def _block(
        self,
        run: Callable[..., list[Value]],
        inside: Callable[[list[Value], list[Blame], Place], Outputs],
        values: list[Value],
        blames: list[Blame],
        place: Place,
    ) -> Outputs:
        """Run a program as one operation, and look into it only if something begins in it."""
        outs = run(*values)
        if all(is_finite(out) for out in outs):
            return outs, [{} for _ in outs]
        # On clean values it is finite: nothing begins in it, and what comes in is followed through it as a whole.
        if any(blames) and all(is_finite(out) for out in run(*only(values, blames, None))):
            return self._operation(run, values, blames, place)
        return inside(values, blames, place)

    def _scan(self, eqn: jex.JaxprEqn, values: list[Value], blames: list[Blame], place: Place) -> Outputs:
        """Run the iterations one after the other, each as a block."""
        closed, length = eqn.params["jaxpr"], eqn.params["length"]
        # Told by their shapes, as versions of JAX don't agree on how else: what has one more axis has a row for each
        # iteration, of the values after those that are the same in all of them and those that are carried.
        rows_in, rows_out = (
            sum(_axes(outer) > _axes(inner) for outer, inner in zip(*both, strict=True))
            for both in ((eqn.invars, closed.jaxpr.invars), (eqn.outvars, closed.jaxpr.outvars))
        )
        m, count = len(values) - rows_in, len(eqn.outvars) - rows_out
        n = m - count
        body, inside = _compiled(closed), functools.partial(self._called, closed)
        carry, of_carry = values[n:m], blames[n:m]
        rows: list[Outputs] = []
        order = reversed(range(length)) if eqn.params["reverse"] else range(length)
        for i in order:
            given = [*values[:n], *carry, *(_row(v, i) for v in values[m:])]
            of_given = [*blames[:n], *of_carry, *(picked(b, i) for b in blames[m:])]
            outs, found = self._block(body, inside, given, of_given, place.at_iteration(i))
            carry, of_carry = outs[:count], found[:count]
            rows.append((outs[count:], found[count:]))
        if eqn.params["reverse"]:
            rows.reverse()
        columns = range(len(closed.jaxpr.outvars) - count)
        stacks = [jnp.stack([outs[k] for outs, _ in rows]) for k in columns]
        return [*carry, *stacks], [*of_carry, *(stacked([found[k] for _, found in rows]) for k in columns)]

    def _while(self, params: Mapping[str, PyTree], values: list[Value], blames: list[Blame], place: Place) -> Outputs:
        """Run the iterations one after the other, each as a block."""
        n, m = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        goes_on, body = _compiled(params["cond_jaxpr"]), _compiled(params["body_jaxpr"])
        inside = functools.partial(self._called, params["body_jaxpr"])
        carry, of_carry, i = values[m:], blames[m:], 0
        while np.any(np.asarray(goes_on(*values[:n], *carry)[0])):
            given, of_given = [*values[n:m], *carry], [*blames[n:m], *of_carry]
            carry, of_carry = self._block(body, inside, given, of_given, place.at_iteration(i))
            i += 1
        return carry, of_carry

    def _operation(
        self,
        run: Callable[..., list[Value]],
        values: list[Value],
        blames: list[Blame],
        place: Place,
        repeatable: bool = True,
    ) -> Outputs:
        """Run one operation, and find out who is to blame for what isn't finite, as the head of this file says."""
        outs = run(*values)
        bad = [not_finite(out) for out in outs]
        if not any(np.any(b) for b in bad):
            return outs, [{} for _ in outs]
        before = sorted({o for b in blames for o in b}, key=lambda o: o.number)[:_MOST]
        repeatable = repeatable and bool(before)
        clean = bad
        # What is bad with either of the two values is bad of itself, and not for how large what stands in is.
        for instead in (HARMLESS, SMALL) if repeatable else ():
            if any(np.any(b) for b in clean):
                again = run(*only(values, blames, None, instead))
                clean = [b & not_finite(v) for b, v in zip(clean, again, strict=True)]
        alone = {o: bad for o in before}
        if repeatable and len(before) > 1:
            alone = {o: [not_finite(v) for v in run(*only(values, blames, o))] for o in before}
        # An operation with effects runs once: what it is given is to blame, if anything is.
        fresh = clean if repeatable or not before else [np.zeros_like(b) for b in bad]
        first = next((out for out, f in zip(outs, fresh, strict=True) if np.any(f)), outs[0])
        new = Origin(self._count, place, first, tuple(v for v in values if is_float(v)))
        found: list[Blame] = []
        for i, out in enumerate(outs):
            blame: Blame = {new: fresh[i]}
            blame.update({o: bad[i] & alone[o][i] & ~fresh[i] for o in before})
            rest = bad[i] & ~functools.reduce(np.logical_or, blame.values())
            blame = {o: mask | rest if o is not new else mask for o, mask in blame.items()}
            found.append({o: mask for o, mask in blame.items() if np.any(mask)})
            for o in found[-1]:
                if o is not new and o.nan_since is None and is_nan_first(o, found[-1][o], out, values, blames):
                    o.nan_since = place
        return outs, found


def _row(value: Value, i: int) -> Value:
    assert isinstance(value, jax.Array | np.ndarray)  # what has a row for each iteration
    return value[i]


def _axes(var: jex.Var | jex.Literal) -> int:
    """Return how many axes a value has; none where it isn't an array, such as a token."""
    return len(getattr(var.aval, "shape", ()))


def _compiled(closed: jex.ClosedJaxpr) -> Callable[..., list[Value]]:
    compiled = jax.jit(jex.jaxpr_as_fun(closed))
    return lambda *values: list(compiled(*values))
