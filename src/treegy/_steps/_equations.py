"""The equations of a traced program, at whatever depth: what a program does is asked of them."""

from collections.abc import Iterator

import jax.extend.core as jex


def equations(jaxpr: jex.Jaxpr) -> Iterator[jex.JaxprEqn]:
    """Yield the equations of a jaxpr, and of those within it."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jex.jaxprs_in_params(eqn.params):
            yield from equations(inner)


def calls_back(jaxpr: jex.Jaxpr) -> bool:
    """Whether a program calls Python while it runs, as those with `eqx.error_if` or `jax.debug.print` do."""
    return bool(jaxpr.effects) or any("callback" in eqn.primitive.name for eqn in equations(jaxpr))


def live(closed: jex.ClosedJaxpr) -> tuple[jex.ClosedJaxpr, list[bool]]:
    """Return a program without the equations that neither its outputs nor effects depend on.

    What equations have inside isn't looked at: one that is needed is needed with all that it takes.

    **Returns:**

    The program, and which of the inputs it still has.
    """
    jaxpr = closed.jaxpr
    needed = {var for var in jaxpr.outvars if isinstance(var, jex.Var)}
    equations: list[jex.JaxprEqn] = []
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or not needed.isdisjoint(eqn.outvars):
            needed.update(var for var in eqn.invars if isinstance(var, jex.Var))
            equations.append(eqn)
    read = [var in needed for var in jaxpr.invars]
    inputs = [var for var in jaxpr.invars if var in needed]
    return closed.replace(jaxpr=jaxpr.replace(eqns=equations[::-1], invars=inputs)), read
