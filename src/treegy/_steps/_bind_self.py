"""`self` within a step: the model of the states that the step was given."""

import contextlib
from collections.abc import Callable, Generator
from contextvars import ContextVar

from ._assembly import BOUND, with_states
from ._model_like import M, ModelLike
from ._states import States

_watcher: ContextVar[Callable[[ModelLike], None] | None] = ContextVar("watcher", default=None)


@contextlib.contextmanager
def watching(prepare: Callable[[ModelLike], None]) -> Generator[None]:
    """Within this context, call `prepare` with the `self` of every step, which it may change, before the step runs."""
    token = _watcher.set(prepare)
    try:
        yield
    finally:
        _watcher.reset(token)


def bound_to(model: M, states: States) -> M:
    """Return the `self` of a step that was given `states`."""
    if vars(model).get(BOUND) is states:
        return model
    new = with_states(model, states)
    # What a step sees as `self.states` is what it was given. Only inside steps: to Equinox, a model with an
    # attribute more is one of another structure.
    object.__setattr__(new, BOUND, states)
    prepare = _watcher.get()
    if prepare is not None:
        prepare(new)
    return new
