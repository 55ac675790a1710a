"""Reading what was saved: by `Model.save`, or by a callback during a run."""

import functools

import equinox as eqx
import jax
import numpy as np

from .._errors import CheckpointError
from .._paths import anywhere, is_local
from .._sharding._exchange import each_does, exchanged
from .._steps._assembly import carrying, rebuilt, with_states
from .._steps._model_like import M, ModelLike
from .._steps._prepare import first_states, init_optimizer
from .._steps._states import States
from .._types import PyTree
from .._warn import warn
from ..optimizers._hyperparameters import free_hyperparameters
from ._checkpoints import with_named_arrays
from ._documents import MODEL, RUN, checked, states_in
from ._layout import AnyPath
from ._read_checkpoints import newest_whole, read_checkpoint, steps_in
from ._saved import holds_saved, opened
from ._skeleton import UNKNOWN

EVALUATED = "@evaluated"
"""Under which `save` writes the parameters to evaluate at, if they aren't those that are trained."""

_ONLY = '`load(path, only="module")` takes the module alone, to predict with it or for another optimizer.'


def loaded(model: M, path: object, step: int | None, only: str | None, averaged: bool) -> M:
    """Return the model that [`treegy.Model.load`][] does."""
    if only not in (None, "module"):
        raise ValueError(f'`only` is {only!r:.100}; "module" or None is expected.')
    place: AnyPath = anywhere("path", path)
    try:
        # What is written in the background is there when all have come so far.
        exchanged(model.strategy, f"`load` from '{place}'", None)
        new = each_does(model.strategy, "`load`", lambda: _loaded(model, place, step, only, averaged))
    except CheckpointError as error:
        if only is None and "optimizer_states" in str(error) and "net_params" not in str(error):
            error.args = (f"{error}\n{_ONLY}",)
        if not model.initialized:
            error.add_note("The model isn't initialized: where steps create states, call `model.init(x, y)` first.")
        raise
    if only is None:
        _compare_hyperparameters(model, new)
    return new


def _loaded(model: M, place: AnyPath, step: int | None, only: str | None, averaged: bool) -> M:
    steps = steps_in(place)
    if steps and step is None and is_local(place) and holds_saved(place):
        raise CheckpointError(
            f"'{place}' holds a saved model and checkpoints of the steps {_listed(steps)}: which of them is to be "
            "loaded? Pass `step=` for a checkpoint, or move one of the two into a directory of its own."
        )
    if step is not None or steps:
        return _from_checkpoint(model, place, steps, step, only, averaged)
    if not is_local(place):
        raise CheckpointError(f"There are no checkpoints in '{place}', and `save` writes to local disks alone.")
    return _from_saved(model, place, only, averaged)


def _from_saved(model: M, place: AnyPath, only: str | None, averaged: bool) -> M:
    with opened(place) as saved:
        if only is not None:
            evaluated = averaged and saved.has(EVALUATED)
            return _with_module(model, saved.read(_module_of(model), functools.partial(_renamed, model, evaluated)))
        base = _loadable(model) if saved.initialized else first_states(model)
        like = {n: v for n, v in base.items() if n != "metrics_states"}
        if not saved.has("optimizer_states"):
            like["optimizer_states"] = None  # begun when it is trained
        states = base.update(**saved.read(like, _restored), metrics_states=None)
    new = with_states(model, states)
    # A model that was saved before its steps had what they need still needs that.
    return new if saved.initialized else carrying(new, None, seed=states.rng)


def _from_checkpoint(
    model: M, place: AnyPath, steps: list[int], step: int | None, only: str | None, averaged: bool
) -> M:
    if step is not None and not steps:
        raise CheckpointError(f"There are no checkpoints in '{place}', of which `step` would choose one.")
    if step is not None and step not in steps:
        raise CheckpointError(f"There is no checkpoint of step {step} in '{place}'; there are {_listed(steps)}.")
    found = newest_whole(place) if step is None else read_checkpoint(place, step)
    document = checked(found, f"'{place}'", MODEL, RUN)
    what = f"What is saved in '{place}'"
    arrays = {**states_in(document, what), **(states_in(document, what, "measured") if averaged else {})}
    if only is not None:
        arrays |= states_in(document, what, "evaluated") if averaged else {}
        arrays = {new: array for name, array in arrays.items() if (new := _renamed(model, False, name)) is not None}
        return _with_module(model, with_named_arrays(_module_of(model), arrays, what))
    like = _loadable(model)
    fields = States(**{n: v for n, v in like.items() if n != "metrics_states"})
    return with_states(model, like.update(**with_named_arrays(fields, arrays, what), metrics_states=None))


def _module_of(model: ModelLike) -> dict[str, PyTree]:
    """Return what `only="module"` reads: the module and its state; where steps bring their own parameters, these."""
    if model.module is not None:
        return {"module": model.module, "state": model.state}
    states = _loadable(model)
    return {n: states[n] for n in ("net_params", "net_states", "state") if n in states}


def _restored(name: str) -> str | None:
    """Return the path of an array that `save` wrote in the states; `None` for what they hold in another way."""
    return None if name.startswith(f"['{EVALUATED}']") else name


def _renamed(model: ModelLike, evaluated: bool, name: str) -> str | None:
    """Return the path of an array of states in `_module_of`; `None` if it isn't there.

    **Arguments:**

    - `evaluated`: whether the parameters are those to evaluate at that `save` wrote.
    """
    if evaluated:
        trained, there = "['net_params']", f"['{EVALUATED}']"
        if name.startswith(trained):
            return None
        name = trained + name.removeprefix(there) if name.startswith(there) else name
    parts = {n: n if model.module is None else "module" for n in ("net_params", "net_states")}
    for field, part in {**parts, "state": "state"}.items():
        for prefix in (f"['{field}']", f".{field}"):
            if name.startswith(prefix) and name[len(prefix) :][:1] in ("", ".", "[", " "):
                return f"['{part}']" + name.removeprefix(prefix)
    return None


def _with_module(model: M, found: dict[str, PyTree]) -> M:
    if model.module is not None:
        return rebuilt(model, found)
    return with_states(model, model.states.update(**found))


def _listed(steps: list[int]) -> str:
    shown = ", ".join(map(str, steps[-10:]))
    return f"..., {shown}" if len(steps) > 10 else shown


def _compare_hyperparameters(model: ModelLike, new: ModelLike) -> None:
    """Warn of learning rates and the like that are not those with which the model was built."""
    there = free_hyperparameters(new.states)
    if not there or model.optimizer is None or not jax.tree.leaves(new.parameters):
        return
    built = new.states.update(optimizer_states=init_optimizer(model, new.parameters))
    here = free_hyperparameters(built)
    differ = [
        f"`{name}` is {_shown(value)}, and the model was built with {_shown(here[name])}"
        for name, value in there.items()
        if name in here and not np.array_equal(np.asarray(value), np.asarray(here[name]), equal_nan=True)
    ]
    if differ:
        warn(
            f"what was loaded holds: {'; '.join(differ)}. To have what the model was built with, give the optimizer "
            "once more: `model = model.load(path).replace(optimizer=model.optimizer)`."
        )


def _shown(value: jax.Array) -> str:
    return " ".join(f"{each:.6g}" for each in np.asarray(value).flat)


def _loadable(model: ModelLike) -> States:
    """Return states whose structure is that of a saved model of this kind, found without data."""
    states = model.states
    if model.initialized:
        return states
    if model.module is None:
        return States(**{n: UNKNOWN if v is None else v for n, v in states.items()})
    if model.optimizer is not None and jax.tree.leaves(states.net_params):
        shapes = eqx.filter_eval_shape(lambda params: init_optimizer(model, params), states.net_params)
        states = states.update(optimizer_states=shapes)
    return states
