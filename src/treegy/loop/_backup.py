"""A run as a document of `Checkpoints`, and a run that goes on from one."""

from typing import Any

import jax
import numpy as np

from .._assembly import with_states
from .._checkpoints import named_arrays, with_named_arrays
from .._errors import CheckpointError
from ._fit import Run

_FORMAT, _VERSION = "treegy run", 1
_NUMBERS = ("epoch", "done", "begin", "step")


def document(run: Run) -> dict[str, Any]:
    """All that is needed to go on in another process, as a document of `Checkpoints`."""
    states = run.engine.copy().states
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "states": named_arrays(states),
        "logs": jax.tree.leaves(run.engine.logs),
        **{name: getattr(run, name) for name in _NUMBERS},
        "stopped": run.hooks.ended,
        "validated": run.validated,
        "history": run.history.history,
        "epochs": run.history.epoch,
        "validations": [list(v) for v in run.history.validations],
        "data": run.source.state(),
        "callbacks": run.hooks.state(),
    }


def resume(run: Run, document: Any) -> None:
    """Have a run that has not begun go on from a document.

    **Raises:** [`treegy.CheckpointError`][] if it is of another training.
    """
    if document.get("format") != _FORMAT or document.get("version", 0) > _VERSION:
        raise CheckpointError(
            f"The checkpoint is no backup that this treegy reads: it is a {document.get('format')!r}, version "
            f"{document.get('version')}."
        )
    model = run.engine.model
    states = with_named_arrays(model.states, document["states"], "The backup")
    run.source.resume(document["data"])
    run.engine.replace(with_states(model, states))
    run.engine.restore(document["logs"])
    for name in _NUMBERS:
        setattr(run, name, document[name])
    run.validated = _figures_of(document["validated"])
    run.history.history = {name: _figures_of(values) for name, values in document["history"].items()}
    run.history.epoch = document["epochs"]
    run.history.validations = [(step, _figures_of(found)) for step, found in document["validations"]]
    run.hooks.restore(document["callbacks"])
    if document["stopped"] is not None:
        run.hooks.stop(document["stopped"])
        run.ended = True


def _figures_of(stored: Any) -> Any:
    """Figures as a history has them: those that aren't scalars are NumPy arrays."""
    return jax.tree.map(lambda v: np.asarray(v) if isinstance(v, jax.Array) else v, stored)
