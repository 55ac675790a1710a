"""Running a program operation by operation, following what is not finite to where it came from."""

import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax.extend.core as jex
import jax.numpy as jnp

# Whose lines are nobody's mistake: those of libraries.
_LIBRARIES = ("jax", "equinox", "optax", "treegy", "jaxtyping", "beartype", "numpy")


class Origin(NamedTuple):
    """An operation that makes something not finite of finite numbers."""

    number: int
    """Of the operation, in the order in which they run."""
    operation: str
    where: str
    """The user's line that it comes from, if there is one."""
    in_gradient: bool
    inputs: tuple[Any, ...]
    output: Any

    def __lt__(self, other: Any) -> bool:
        return self.number < other.number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origin) and self.number == other.number


Blame = frozenset[Origin]
_NOBODY: Blame = frozenset()


def origins(closed: Any, values: list[Any]) -> tuple[list[Any], list[Blame]]:
    """What a program returns, and for each of its results the origins of what is not finite in it.

    A value that isn't finite but was selected away later is nobody's fault: results alone are followed back.
    """
    return _Run().jaxpr(closed.jaxpr, closed.consts, values, [_NOBODY] * len(values))


class _Run:
    def __init__(self):
        self.count = 0

    def jaxpr(self, jaxpr: Any, consts: Any, values: list[Any], blames: list[Blame]) -> tuple[list[Any], list[Blame]]:
        known: dict[Any, tuple[Any, Blame]] = {v: (c, _NOBODY) for v, c in zip(jaxpr.constvars, consts, strict=True)}
        known.update(zip(jaxpr.invars, zip(values, blames, strict=True), strict=True))

        def read(var: Any) -> tuple[Any, Blame]:
            return (var.val, _NOBODY) if isinstance(var, jex.Literal) else known[var]

        for eqn in jaxpr.eqns:
            inputs = [read(v) for v in eqn.invars]
            outs, spoiled = self.equation(eqn, [v for v, _ in inputs], [b for _, b in inputs])
            known.update(zip(eqn.outvars, zip(outs, spoiled, strict=True), strict=True))
        results = [read(v) for v in jaxpr.outvars]
        return [v for v, _ in results], [b for _, b in results]

    def equation(self, eqn: Any, values: list[Any], blames: list[Blame]) -> tuple[list[Any], list[Blame]]:
        inner = _called(eqn, len(values))
        if inner is not None:
            return self.jaxpr(*inner, values, blames)
        self.count += 1
        found = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
        outs = list(found) if eqn.primitive.multiple_results else [found]
        return outs, [self.blame(eqn, values, blames, out) for out in outs]

    def blame(self, eqn: Any, values: list[Any], blames: list[Blame], out: Any) -> Blame:
        if _is_fine(out):
            return _NOBODY
        before = functools.reduce(frozenset.union, blames, _NOBODY)
        # Infinity may be meant, as in masks; it is an origin only until NaN comes of it.
        if before and (not _has_nan(out) or any(_has_nan(v) for v in values)):
            return before
        arrays = tuple(v for v in values if _is_float(v))
        name = eqn.primitive.name
        gradient = "transpose" in str(eqn.source_info.name_stack)
        return frozenset([Origin(self.count, name, _line_of(eqn), gradient, arrays, out)])


def _called(eqn: Any, n: int) -> tuple[Any, Any] | None:
    """The program that an equation only calls, and its constants; `None` for an operation."""
    if eqn.primitive.name in ("scan", "while", "cond"):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if isinstance(inner, jex.Jaxpr) and len(inner.invars) == n and not inner.constvars:
            return inner, []
        if isinstance(inner, jex.ClosedJaxpr) and len(inner.jaxpr.invars) == n:
            return inner.jaxpr, inner.consts
    return None


def _is_float(value: Any) -> bool:
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.inexact)


def _is_fine(value: Any) -> bool:
    return not _is_float(value) or bool(jnp.all(jnp.isfinite(value)))


def _has_nan(value: Any) -> bool:
    return _is_float(value) and bool(jnp.any(jnp.isnan(value)))


def _line_of(eqn: Any) -> str:
    traceback = eqn.source_info.traceback
    for frame in [] if traceback is None else traceback.frames:
        if not _is_of_a_library(frame.file_name):
            return f"{frame.file_name}:{frame.line_num} ({frame.function_name})"
    return ""


@functools.lru_cache(maxsize=1)
def _folders() -> tuple[str, ...]:
    modules = [sys.modules.get(name) for name in _LIBRARIES]
    files = [getattr(module, "__file__", None) for module in modules]
    return (str(Path(functools.__file__).parent), *(str(Path(f).parent) for f in files if f))


def _is_of_a_library(file: str) -> bool:
    return file.startswith("<") or file.startswith(_folders())
