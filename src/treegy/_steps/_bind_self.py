"""`self` within a step: the model of the states that the step was given."""

from typing import Any

from ._assembly import with_states
from ._states import States


def bound_to(model: Any, states: States) -> Any:
    """The `self` of a step that was given `states`."""
    if model.__dict__.get("_bound") is states:
        return model
    new = with_states(model, states)
    # What a step sees as `self.states` is what it was given. Only inside steps: to Equinox, a model with an
    # attribute more is one of another structure.
    object.__setattr__(new, "_bound", states)
    # A class whose steps are watched has its instances prepared for it.
    prepare = getattr(type(new), "_prepare_bound", None)
    if prepare is not None:
        prepare(new)
    return new
