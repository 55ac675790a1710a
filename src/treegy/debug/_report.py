"""What a replay has found, in words."""

from typing import NamedTuple

import numpy as np

from .._describe import array_name
from ._blame import Blame, Mask, Origin, Value, not_finite
from ._place import Place

_SHOWN = 8
_ALSO = 2
_TITLE, _ALSO_TITLE = "The first value that isn't finite", "Also not finite"


class Spoiled(NamedTuple):
    """A value that a step makes, and whose fault it is if it isn't finite."""

    name: str
    value: Value
    blame: Blame
    before: Value | None = None
    """What it was before the step, of states."""

    @property
    def bad(self) -> Mask:
        """Which elements are not finite, and were not the same already."""
        bad = not_finite(self.value)
        if self.before is None or not np.any(bad):
            return bad
        new, old = np.asarray(self.value), np.asarray(self.before)
        return bad & ~((new == old) | (np.isnan(new) & np.isnan(old)))

    @property
    def origins(self) -> list[Origin]:
        """What is to blame for these elements."""
        bad = self.bad
        return [o for o, mask in self.blame.items() if np.any(mask & bad)]


class Step(NamedTuple):
    """The outputs of one training step."""

    logs: list[Spoiled]
    gradients: list[Spoiled]
    states: list[Spoiled]


def report(step: Step) -> str | None:
    """Return the report about a step, or `None` if it is finite."""
    logs, gradients, states = ([s for s in found if np.any(s.bad)] for found in step)
    spoiled = [*logs, *gradients, *states]
    if not spoiled:
        return None
    of_logs, of_gradients = ({o for s in found for o in s.origins} for found in (logs, gradients))
    told: dict[tuple[Place, str | None], list[str]] = {}
    for origin in sorted({o for s in spoiled for o in s.origins}, key=lambda o: o.number):
        # Of a derivative, some is computed on the way forward.
        backward = origin in of_gradients and origin not in of_logs
        updated = next((f" of `{s.name}`" for s in states if origin in s.origins), "")
        # Once for all iterations of a loop, and for all updates by the same operation.
        where = origin.nan_since if origin.constant and origin.nan_since is not None else origin.place
        told.setdefault((where._replace(iterations=()), origin.given), _told(origin, backward, updated))
    lines: list[str] = []
    for i, (first, *more) in enumerate(list(told.values())[: _ALSO + 1]):
        lines += [f"{_ALSO_TITLE if i else _TITLE}: {first}", *more]
    if not logs:
        lines.append("  not spoiled: the metric values of the step, which are finite")
    lines += [f"  spoiled: the log `{s.name}`, {_metric_value(s.value)}" for s in logs]
    rest = [f"the gradient of `{s.name}`, {counted(s.value)}" for s in gradients]
    # A non-finite gradient makes its parameter non-finite; list it once.
    rest += [f"`{s.name}`, {counted(s.value)}" for s in states if s.name not in {g.name for g in gradients}]
    lines += [f"  spoiled: {text}" for text in rest[:_SHOWN]]
    if len(rest) > _SHOWN:
        lines.append(f"  ... and {len(rest) - _SHOWN} more")
    return "\n".join(lines)


def _told(origin: Origin, backward: bool, updated: str) -> list[str]:
    place, since = origin.place, origin.nan_since
    if origin.given is not None:
        found = [f"{origin.given}, before the step already: {counted(origin.output)}{_examples(origin)}"]
    elif origin.constant and since is not None:
        # Infinity is meant, as in masks; that NaN comes of it isn't.
        return [_operation(since, backward), *_at(since), "  of: infinity that is written in the code"]
    elif origin.constant:
        found = [f"{counted(origin.output)}, written in the code, {_operation(place, backward)}", *_at(place)]
    else:
        found = [_operation(place, backward) + (updated if place.is_update else ""), *_at(place)]
        inputs = [f"{array_name(a)} {_range(a)}" for a in map(np.asarray, origin.inputs) if a.size]
        found += [f"  of: {', '.join(inputs)}"] if inputs else []
        found.append(f"  makes: {counted(origin.output)}")
    if since is not None:
        found += [f"  NaN comes of it: {_operation(since, backward)}", *_at(since)]
    return found


def _operation(place: Place, backward: bool) -> str:
    if backward and not place.is_update:
        place = place._replace(in_gradient=True)
    return f"`{place.operation}` {place.part}".rstrip()


def _at(place: Place) -> list[str]:
    return [f"  at: {place.at}"] if place.at else []


def _examples(origin: Origin) -> str:
    if not origin.by_example:
        return ""
    mask = np.asarray(not_finite(origin.output))
    rows = np.flatnonzero(mask.reshape(len(mask), -1).any(axis=1))
    shown = ", ".join(str(i) for i in rows[:_SHOWN])
    return f"; example{'' if len(rows) == 1 else 's'} {shown}{', ...' if len(rows) > _SHOWN else ''} of the batch"


def _metric_value(value: Value) -> str:
    return f"{float(np.asarray(value)):g}" if np.ndim(value) == 0 else counted(value)


def _range(array: np.ndarray) -> str:
    known = array[np.isfinite(array)]
    if not known.size:
        return "without a number"
    if np.iscomplexobj(known):
        return f"up to {np.max(np.abs(known)):.4g} in size"
    known = known.astype(np.float64)
    return f"from {np.min(known):.4g} to {np.max(known):.4g}"


def _below_all(values: np.ndarray) -> np.ndarray:
    """Return where negative infinity is, of real numbers."""
    return np.zeros(values.shape, bool) if np.iscomplexobj(values) else np.isinf(values) & (values < 0)


def counted(leaf: Value) -> str:
    """Return how much of an array isn't finite: `f32[2,3]: 1 of 6 is nan`."""
    values = np.asarray(leaf)
    nan, inf, below = (int(np.sum(which)) for which in (np.isnan(values), np.isinf(values), _below_all(values)))
    kinds = ((nan, "nan"), (inf - below, "inf"), (below, "-inf"))
    parts = [f"{n} of {values.size} {'is' if n == 1 else 'are'} {what}" for n, what in kinds if n]
    return f"{array_name(leaf)}: {', '.join(parts) or 'all finite'}"
