"""A run as a document of `Checkpoints`, and a run that resumes from one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._data._iterable_source import BatchSource
from .._errors import CheckpointError
from .._saving._checkpoints import named_arrays, with_named_arrays
from .._saving._documents import RUN, VERSIONS, checked
from .._steps._assembly import with_states
from .._types import PyTree, Values
from ._data_state import data_state, own_state
from ._fit import Run
from ._position import Position

_NONE = type(None)
# What a document holds: a backup may come from anywhere.
_TYPES: dict[str, tuple[type, ...]] = {
    "epochs": (int,),
    **dict.fromkeys(("position", "states", "validated", "history"), (dict,)),
    **dict.fromkeys(("logs", "history_epochs", "history_seconds", "validations", "callbacks"), (list,)),
    "steps_per_epoch": (int, _NONE),
    "key_data": (list, _NONE),
    "stopped": (str, _NONE),
}


def document(run: Run) -> dict[str, Any]:
    """Return all that is needed to resume in another process, as a document of `Checkpoints`."""
    run.stopped_models.put_back(run.engine)
    states = run.engine.copy().states
    return {
        "format": RUN,
        "version": VERSIONS[RUN],
        "states": named_arrays(states),
        # The next chunk may be given these arrays, while they are still being written.
        "logs": [jnp.copy(leaf) for leaf in jax.tree.leaves(run.engine.logs)],
        "position": run.position._asdict(),
        "epochs": run.epochs,
        "steps_per_epoch": run.arguments.steps_per_epoch,
        "key_data": None if run.key_data is None else run.key_data.tolist(),
        "stopped": run.callback_list.ended,
        "validated": run.validated,
        "history": run.history.history,
        "history_epochs": run.history.epoch,
        "history_seconds": run.history.seconds,
        "validations": [list(v) for v in run.history.validations],
        "data": data_state(run.source, run.strategy),
        "validation": None if run.validation is None else data_state(run.validation, run.strategy),
        "callbacks": run.callback_list.state(),
    }


def resume(run: Run, document: Values, directory: object) -> None:
    """Have a run that has not begun resume from a document, which comes from a directory.

    **Raises:** [`treegy.CheckpointError`][] if it is of another run.
    """
    check_began_alike(run, document, directory)
    _check_is_alike(run, document, directory)
    run.position = Position(**document["position"])
    run.process_start = run.step
    run.key_data = None if document["key_data"] is None else np.array(document["key_data"], np.uint32)
    run.validated = _values(document["validated"])
    run.history.history = {name: [_value(v) for v in values] for name, values in document["history"].items()}
    run.history.epoch = document["history_epochs"]
    run.history.seconds = document["history_seconds"]
    run.history.validations = [(step, _values(found)) for step, found in document["validations"]]
    # Before a batch is looked at, here or by the callbacks.
    data = own_state(document["data"], run.source, run.strategy, run.position.between_epochs, directory)
    run.resume_data(data)
    # What begins again for each validation is at its beginning.
    if isinstance(run.validation, BatchSource) and run.validation.is_one_shot:
        there = own_state(document["validation"] or {}, run.validation, run.strategy, True, directory)
        if "position" in there:
            run.validation.resume(there)
    # Before an epoch begins, with which loggers start their runs; and after, since that may change what was restored.
    run.callback_list.restore(document["callbacks"])
    if not run.position.between_epochs:
        # What callbacks set up for an epoch is there, and data of which they tell the epoch has been told.
        run.begin_epoch()
        run.callback_list.restore(document["callbacks"])
    model = run.engine.model
    states = with_named_arrays(model.states, document["states"], "The backup")
    run.engine.replace(with_states(model, states))
    run.stopped_models.hold(run.engine)
    run.engine.restore(document["logs"])
    if run.position.between_epochs:
        # A model that needs a batch to be initialized has looked at one before the data is told of its epoch.
        run.resume_data(data)
    if document["stopped"] is not None:
        run.callback_list.stop(document["stopped"])
        run.ended = True
    elif run.epoch < run.epochs:
        done = "" if run.position.between_epochs else f", after {run.position.done} of its steps"
        run.tell(f"resumed from '{directory}' in epoch {run.position.epoch + 1}{done}")


def check_began_alike(run: Run, document: Values, directory: object) -> None:
    """Raise unless a document is of a run that began at the step at which this one does.

    **Raises:** [`treegy.CheckpointError`][]
    """
    checked(document, f"'{directory}'", RUN)
    for name, types in _TYPES.items():
        if name not in document or type(document[name]) not in types:
            raise CheckpointError(
                f"The backup in '{directory}' is not what treegy writes: {name!r} is missing or wrong."
            )
    position = document["position"]
    if set(position) != set(Position._fields) or not all(type(v) in (int, _NONE) for v in position.values()):
        raise CheckpointError(f"The backup in '{directory}' is not what treegy writes: 'position' is wrong.")
    began, made = position["run_start"], position["step"]
    # The model with which it began, or one from its course: of Ctrl-C in a notebook, after which `fit` is called again.
    can_resume = position["epoch"] < document["epochs"] and document["stopped"] is None
    if run.step != began and not (can_resume and began < run.step <= made):
        raise CheckpointError(
            f"The backup in '{directory}' is of another run: that began at step {began} of its model, and made "
            f"{made - began} steps; this one begins at step {run.step}. Give each run a directory of its own."
        )


def _check_is_alike(run: Run, document: Values, directory: object) -> None:
    """Raise if the arguments of a run are others than before."""
    changed = {
        "shuffle": (document["key_data"] is not None, run.arguments.shuffle),
        "steps_per_epoch": (document["steps_per_epoch"], run.arguments.steps_per_epoch),
    }
    for name, (then, now) in changed.items():
        if then != now:
            raise CheckpointError(f"The backup in '{directory}' is of a run with `{name}={then}`, and now it is {now}.")


def _values(stored: Values) -> dict[str, PyTree]:
    # Not by `jax.tree.map`, which would sort the names.
    return {name: _value(value) for name, value in stored.items()}


def _value(stored: PyTree) -> PyTree:
    """Return a metric value as a history has it: those that aren't scalars are NumPy arrays."""
    return np.asarray(stored) if isinstance(stored, jax.Array) else stored
