"""Saying why steps are compiled again, where that could have been avoided: it takes seconds each time, silently."""

import dataclasses
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import equinox as eqx
import jax

from .._describe import array_name, describe, listed, path_name
from .._errors import RetraceWarning
from .._steps._hashable import Static, hashable_combine
from .._types import KeyPath, PyTree
from .._warn import warn

# Two different models of the same shapes are nothing to talk about. When a third comes, something makes them.
_TIMES = 3
_KINDS_OF_MODELS = 64

_ABSENT: Any = object()


class _Known:
    """What was compiled for models that look alike from afar."""

    def __init__(self):
        self.models: list[Static] = []
        self.times = 0


_known: OrderedDict[Any, _Known] = OrderedDict()


def note_model(step: str, frozen: Static, arrays: list[PyTree], shapes: Hashable) -> None:
    """A step was traced for a model. Warns if it is the third of the same classes and shapes.

    **Arguments:**

    - `step`: the name of the step.
    - `frozen`, `arrays`: the model.
    - `shapes`: the shapes of its arrays and of the batch, hashable.
    """
    model = _skeleton(frozen, arrays)
    known = _known.setdefault((step, type(model), type(model.module), shapes), _Known())
    if len(_known) > _KINDS_OF_MODELS:
        _known.popitem(last=False)
    if any(frozen == other for other in known.models):
        return
    known.models.append(frozen)
    found = None if len(known.models) < 2 else _difference(_skeleton(known.models[-2], arrays), model, "model")
    if found is None or not _avoidable(*found[1:]):
        return
    known.times += 1
    if known.times + 1 != _TIMES:
        return
    where, old, new = found
    warn(
        f"the {step} step was compiled again, for the third model of the same class and shapes: `{where}` was "
        f"{_spelled(old)} and is {_spelled(new)}. {_mend(where, new)} This is said once.",
        RetraceWarning,
    )


def note_batch(step: str, old: PyTree, new: PyTree) -> None:
    """Warn that a batch has other shapes than those before it.

    **Arguments:**

    - `step`: the name of the step.
    - `old`, `new`: batches, or their shapes.
    """
    before = {_argument(p): a for p, a in jax.tree_util.tree_leaves_with_path(old)}
    after = {_argument(p): a for p, a in jax.tree_util.tree_leaves_with_path(new)}
    changes = [f"`{n}` was {array_name(before[n])} and is {array_name(a)}" for n, a in after.items() if n in before]
    changes = [c for n, c in zip(after, changes, strict=False) if array_name(before[n]) != array_name(after[n])]
    warn(
        f"the {step} step is compiled again for batches of other shapes: {listed(changes, 4)}. Each new shape or dtype "
        "takes as long as the first: give batches a few shapes only, by padding or by grouping examples. This is said "
        "once.",
        RetraceWarning,
    )


def is_last(shapes: Any, usual: Any) -> bool:
    """Whether a batch differs from the usual ones only in having fewer examples."""
    return len(shapes) == len(usual) and all(
        a[1] == b[1] and a[0][1:] == b[0][1:] and a[0][0] <= b[0][0] for a, b in zip(shapes, usual, strict=True)
    )


def _argument(path: KeyPath) -> str:
    name = path_name(path).lstrip(".")
    return "y" + name.removeprefix("y_true") if name.startswith("y_true") else name


def _skeleton(frozen: Static, arrays: list[PyTree]) -> PyTree:
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
    return hashable_combine(shapes, frozen)


def _difference(old: PyTree, new: PyTree, path: str) -> tuple[str, PyTree, PyTree] | None:
    """Return the first place in which two trees differ, without their arrays."""
    if isinstance(old, jax.ShapeDtypeStruct) and isinstance(new, jax.ShapeDtypeStruct):
        return None
    if type(old) is not type(new):
        return path, old, new
    if isinstance(old, eqx.Module) and dataclasses.is_dataclass(old):
        names = [f.name for f in dataclasses.fields(old)]
        parts = [(f".{n}", getattr(old, n, _ABSENT), getattr(new, n, _ABSENT)) for n in names]
    elif isinstance(old, Mapping):
        parts = [
            (f"[{k!r}]", old.get(k, _ABSENT), new.get(k, _ABSENT)) for k in [*old, *(k for k in new if k not in old)]
        ]
    elif isinstance(old, tuple) and hasattr(old, "_fields"):
        parts = [(f".{n}", getattr(old, n), getattr(new, n)) for n in getattr(old, "_fields")]  # noqa: B009
    elif isinstance(old, list | tuple):
        if len(old) != len(new):
            return path, old, new
        parts = [(f"[{i}]", a, b) for i, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        return None if old is new or old == new else (path, old, new)
    for name, a, b in parts:
        found = _difference(a, b, path + name)
        if found is not None:
            return found
    return None


def _avoidable(old: PyTree, new: PyTree) -> bool:
    """Whether one program could have served both: numbers could be arrays, and a function made again be kept."""
    if _is_number(old) and _is_number(new):
        return True
    names = [(getattr(f, "__module__", None), getattr(f, "__qualname__", None)) for f in (old, new)]
    return callable(old) and callable(new) and names[0] == names[1] != (None, None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _spelled(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return describe(value) if name is None else f"`{name}` at {id(value):#x}"


def _mend(where: str, new: PyTree) -> str:
    if where.startswith("model.optimizer"):
        return (
            "Models share a program if they have the same optimizer object: make it once. Where its learning rate "
            "changes, `tg.Optimizer(optax.adam, rate)` in place of `optax.adam(rate)` shares programs for all rates."
        )
    if _is_number(new):
        return "A number that is to change is made an array, `jnp.asarray(...)`: then one program serves all values."
    return "Models share a program if they have the same function objects: make it once, outside of what repeats."


def forget() -> None:
    """Let go of the models that were traced."""
    _known.clear()
