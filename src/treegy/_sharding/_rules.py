"""Rules: which array is split how, as users say it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jax.sharding import Mesh, PartitionSpec

from .._describe import describe, did_you_mean
from ._mesh import check_axis, names_of, parts
from ._strategy import Shape


def hashable_rule(rule: Any) -> Any:
    """Return a rule as a function, or as a tuple of the pairs of a dict.

    **Raises:** `TypeError` if it is neither.
    """
    if rule is None or callable(rule) or isinstance(rule, tuple):
        return rule
    if isinstance(rule, Mapping):
        return tuple(rule.items())
    raise TypeError(
        f"`rule` is {describe(rule)}; a function `(path, shape)` that returns a `PartitionSpec` is expected, or a dict "
        "from paths to these."
    )


def ruled(rule: Any, mesh: Mesh, shapes: Mapping[str, Shape]) -> dict[str, PartitionSpec]:
    """Return what a rule says, of those arrays of which it says anything.

    **Raises:** `ValueError` for a path that no array has, and for a spec that doesn't fit its array.
    """
    found: dict[str, PartitionSpec] = {}
    if rule is None:
        return found
    for path, spec in _asked(rule, shapes).items():
        if spec is not None:
            found[path] = _checked(mesh, path, shapes[path], spec)
    return found


def _asked(rule: Any, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    if callable(rule):
        return {path: rule(path, shape) for path, shape in shapes.items()}
    found: dict[str, Any] = {}
    for pattern, spec in rule:
        expression = re.compile(".*".join(map(re.escape, pattern.split("*"))))
        paths = [path for path in shapes if expression.fullmatch(path)]
        if not paths:
            raise ValueError(
                f"the rule has `{pattern}`, and no array of the module is called so.{did_you_mean(pattern, shapes)}"
            )
        # The first that matches holds.
        found = {**dict.fromkeys(paths, spec), **found}
    return found


def _checked(mesh: Mesh, path: str, shape: Shape, spec: object) -> PartitionSpec:
    if not isinstance(spec, PartitionSpec):
        raise TypeError(f"the rule says {describe(spec)} for `{path}`; a `jax.sharding.PartitionSpec` is expected.")
    told = f"the rule says `{_spelled(spec)}` for `{path}`, of the shape {shape}"
    if len(spec) > len(shape):
        raise ValueError(f"{told}, which has fewer axes.")
    for axis, (names, length) in enumerate(zip(spec, shape, strict=False)):
        if names is None:
            continue
        for name in names_of(names):
            check_axis(mesh, name)
        n = parts(mesh, names)
        if length % n:
            raise ValueError(f"{told}: its axis {axis} can't be split into {n} equal parts.")
    return spec


def _spelled(spec: Iterable[object]) -> str:
    return f"P({', '.join(map(repr, spec))})"
