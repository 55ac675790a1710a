"""A loss or metric that is called by hand, outside of a model: `loss(y_true=..., y_pred=...)`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._describe import did_you_mean, is_arraylike
from .._errors import InjectionError
from .._types import PyTree
from ._term import INJECTED, Asking


def standing_alone(asking: Asking, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the values there are when a loss or metric is called by hand: positional ones go by the order of `call`.

    NumPy arrays become jax arrays, as they do in a step.
    """
    wanted, label = asking.request, asking.label
    names = wanted.positional
    if len(args) > len(names):
        raise InjectionError(f"`{label}` takes at most {len(names)} positional arguments, and got {len(args)}.")
    twice = [n for n in names[: len(args)] if n in kwargs]
    if twice:
        raise InjectionError(f"`{label}` got `{twice[0]}` twice, by position and by name.")
    unknown = [n for n in kwargs if n not in wanted and n not in INJECTED]
    if unknown:
        hint = did_you_mean(unknown[0], [*wanted.names, *INJECTED])
        raise InjectionError(f"`{label}` doesn't ask for `{unknown[0]}`.{hint}")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {k: jax.tree.map(_as_jax, v) for k, v in given.items()}


def _as_jax(leaf: PyTree) -> PyTree:
    return jnp.asarray(leaf) if eqx.is_array(leaf) or is_arraylike(leaf) else leaf
