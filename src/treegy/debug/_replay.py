"""Running a program operation by operation, following what is not finite to where it came from."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from ._place import Place

# How many origins one value is followed back to: the earliest ones.
_MOST = 6
# What stands for a value that isn't finite where it is asked what becomes of the others. Few functions mind the first,
# and large factors not the second.
_HARMLESS, _SMALL = 0.5, 1e-3
# Equations that only call a program, and under which of their parameters it is.
_CALLS = {
    **dict.fromkeys(("pjit", "jit", "checkpoint", "remat", "remat2"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"),
}


@dataclass(eq=False)
class Origin:
    """Something not finite that was there before, or that an operation made of finite numbers."""

    number: int
    """Of the operation, in the order in which they run; below 0 for what was there before."""
    place: Place
    inputs: tuple[Any, ...] = ()
    output: Any = None
    given: str | None = None
    """What it is that was there before."""
    by_example: bool = False
    """Whether its first axis is that of the examples."""
    constant: bool = False
    """Whether it is infinity as somebody wrote it, as in masks."""
    nan_since: Place | None = None
    """Where infinity became NaN."""


# Which elements of a value are not finite because of which origin.
Blame = dict[Origin, Any]


class Given(NamedTuple):
    """What a program is run on."""

    what: str
    value: Any
    by_example: bool = False


class Replay:
    """A run of a program that knows for each value where what isn't finite in it came from.

    Whatever the operation, an origin is followed through it by running it with all else that isn't finite replaced.
    What is selected away, or becomes finite again as $e^{-\\infty}$ does, is so nobody's fault.
    """

    def __init__(self) -> None:
        self._count = 0
        self.marked: list[tuple[str, Any, Blame]] = []
        """The values that were marked by their place, with their blame."""

    def run(self, closed: Any, given: Sequence[Given]) -> tuple[list[Any], list[Blame]]:
        """What the program returns, and whose fault it is if it isn't finite."""
        values = [g.value for g in given]
        blames: list[Blame] = []
        for i, (what, value, by_example) in enumerate(given):
            bad = not_finite(value)
            before = Origin(i - len(given), Place(), output=value, given=what, by_example=by_example)
            blames.append({before: bad} if np.any(bad) else {})
        return self._jaxpr(closed.jaxpr, closed.consts, values, blames, Place())

    def _jaxpr(
        self, jaxpr: Any, consts: Sequence[Any], values: list[Any], blames: list[Blame], around: Place
    ) -> tuple[list[Any], list[Blame]]:
        known: dict[Any, tuple[Any, Blame]] = {}
        known.update(zip(jaxpr.invars, zip(values, blames, strict=True), strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            known[var] = const, self._of_constant(const, around)

        def read(var: Any, place: Place) -> tuple[Any, Blame]:
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

    def _of_constant(self, value: Any, place: Place) -> Blame:
        bad = not_finite(value)
        return {Origin(self._count, place, output=value, constant=True): bad} if np.any(bad) else {}

    def _equation(
        self, eqn: Any, values: list[Any], blames: list[Blame], place: Place
    ) -> tuple[list[Any], list[Blame]]:
        self._count += 1
        name, params = eqn.primitive.name, eqn.params
        inner = params.get(_CALLS.get(name, ""))
        if inner is not None:
            return self._called(inner, values, blames, place)
        if name == "cond":
            branches = params["branches"]
            chosen = branches[int(np.clip(int(values[0]), 0, len(branches) - 1))]
            return self._called(chosen, values[1:], blames[1:], place)

        def run(*values: Any) -> list[Any]:
            found = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
            return list(found) if eqn.primitive.multiple_results else [found]

        if name == "scan":
            return self._block(run, functools.partial(self._scan, eqn), values, blames, place)
        if name == "while":
            outs = run(*values)
            if all(is_finite(out) for out in outs):
                return outs, [{} for _ in outs]
            return self._while(params, values, blames, place)
        return self._operation(run, values, blames, place, repeatable=not eqn.effects)

    def _called(self, inner: Any, values: list[Any], blames: list[Blame], place: Place) -> Any:
        consts = inner.consts if isinstance(inner, jex.ClosedJaxpr) else ()
        return self._jaxpr(getattr(inner, "jaxpr", inner), consts, values, blames, place)

    def _block(
        self, run: Callable[..., list[Any]], inside: Any, values: list[Any], blames: list[Blame], place: Place
    ) -> tuple[list[Any], list[Blame]]:
        """A program that is run as one operation, and looked into only if something begins in it."""
        outs = run(*values)
        if all(is_finite(out) for out in outs):
            return outs, [{} for _ in outs]
        if any(blames) and all(is_finite(out) for out in run(*_only(values, blames, None))):
            return self._operation(run, values, blames, place)
        return inside(values, blames, place)

    def _scan(self, eqn: Any, values: list[Any], blames: list[Blame], place: Place) -> tuple[list[Any], list[Blame]]:
        closed, length = eqn.params["jaxpr"], eqn.params["length"]
        # Told by their shapes, as versions of JAX don't agree on how else: what has one more axis has a row for each
        # iteration, of the values after those that are the same in all of them and those that are carried.
        rows_in, rows_out = (
            sum(len(outer.aval.shape) > len(inner.aval.shape) for outer, inner in zip(*both, strict=True))
            for both in ((eqn.invars, closed.jaxpr.invars), (eqn.outvars, closed.jaxpr.outvars))
        )
        m, count = len(values) - rows_in, len(eqn.outvars) - rows_out
        n = m - count
        body, inside = _compiled(closed), functools.partial(self._called, closed)
        carry, of_carry = values[n:m], blames[n:m]
        rows: list[tuple[list[Any], list[Blame]]] = []
        order = reversed(range(length)) if eqn.params["reverse"] else range(length)
        for i in order:
            given = [*values[:n], *carry, *(v[i] for v in values[m:])]
            of_given = [*blames[:n], *of_carry, *(_picked(b, i) for b in blames[m:])]
            outs, found = self._block(body, inside, given, of_given, place.at_iteration(i))
            carry, of_carry = outs[:count], found[:count]
            rows.append((outs[count:], found[count:]))
        if eqn.params["reverse"]:
            rows.reverse()
        columns = range(len(closed.jaxpr.outvars) - count)
        stacked = [jnp.stack([outs[k] for outs, _ in rows]) for k in columns]
        return [*carry, *stacked], [*of_carry, *(_stacked([found[k] for _, found in rows]) for k in columns)]

    def _while(
        self, params: Any, values: list[Any], blames: list[Blame], place: Place
    ) -> tuple[list[Any], list[Blame]]:
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
        run: Callable[..., list[Any]],
        values: list[Any],
        blames: list[Blame],
        place: Place,
        repeatable: bool = True,
    ) -> tuple[list[Any], list[Blame]]:
        outs = run(*values)
        bad = [not_finite(out) for out in outs]
        if not any(np.any(b) for b in bad):
            return outs, [{} for _ in outs]
        before = sorted({o for b in blames for o in b}, key=lambda o: o.number)[:_MOST]
        repeatable = repeatable and bool(before)
        clean = bad
        for instead in (_HARMLESS, _SMALL) if repeatable else ():
            if any(np.any(b) for b in clean):
                again = run(*_only(values, blames, None, instead))
                clean = [b & not_finite(v) for b, v in zip(clean, again, strict=True)]
        alone = {o: bad for o in before}
        if repeatable and len(before) > 1:
            alone = {o: [not_finite(v) for v in run(*_only(values, blames, o))] for o in before}
        new = Origin(self._count, place, tuple(v for v in values if _is_float(v)))
        found: list[Blame] = []
        for i, out in enumerate(outs):
            fresh = clean[i] if repeatable or not before else np.zeros_like(bad[i])
            blame = {new: fresh}
            blame.update({o: bad[i] & alone[o][i] & ~fresh for o in before})
            rest = bad[i] & ~functools.reduce(np.logical_or, blame.values())
            blame = {o: mask | rest if o is not new else mask for o, mask in blame.items()}
            found.append({o: mask for o, mask in blame.items() if np.any(mask)})
            if np.any(fresh) and new.output is None:
                new.output = out
            for o in found[-1]:
                if o is not new and o.nan_since is None and _is_nan_first(o, found[-1][o], out, values, blames):
                    o.nan_since = place
        return outs, found


def _is_nan_first(origin: Origin, mask: Any, out: Any, values: list[Any], blames: list[Blame]) -> bool:
    """Whether an operation makes NaN of the infinities of an origin."""
    if not np.any(_is_nan(out) & mask):
        return False
    return not any(np.any(_is_nan(v) & b[origin]) for v, b in zip(values, blames, strict=True) if origin in b)


def _only(values: list[Any], blames: list[Blame], origin: Origin | None, instead: float = _HARMLESS) -> list[Any]:
    """The values, in which nothing but what an origin is to blame for is not finite."""

    def one(value: Any, blame: Blame) -> Any:
        bad = not_finite(value)
        if origin is not None and origin in blame:
            bad = bad & ~blame[origin]
        return jnp.asarray(np.where(bad, np.asarray(instead, value.dtype), value)) if np.any(bad) else value

    return [one(v, b) for v, b in zip(values, blames, strict=True)]


def _picked(blame: Blame, i: int) -> Blame:
    rows = {o: mask[i] for o, mask in blame.items()}
    return {o: mask for o, mask in rows.items() if np.any(mask)}


def _stacked(rows: list[Blame]) -> Blame:
    found: Blame = {}
    for origin in {o: None for row in rows for o in row}:
        shape = next(np.shape(row[origin]) for row in rows if origin in row)
        found[origin] = np.stack([row.get(origin, np.zeros(shape, bool)) for row in rows])
    return found


def _compiled(closed: Any) -> Callable[..., list[Any]]:
    compiled = jax.jit(jex.jaxpr_as_fun(closed))
    return lambda *values: list(compiled(*values))


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(getattr(value, "dtype", type(value)), jnp.inexact)


# In NumPy: of each new shape, JAX would compile it.
def not_finite(value: Any) -> Any:
    """Which elements are NaN or infinite: an array of booleans."""
    return ~np.isfinite(np.asarray(value)) if _is_float(value) else np.zeros(np.shape(value), bool)


def is_finite(value: Any) -> bool:
    """Whether all elements are."""
    return not np.any(not_finite(value))


def _is_nan(value: Any) -> Any:
    return np.isnan(np.asarray(value)) if _is_float(value) else np.zeros(np.shape(value), bool)
