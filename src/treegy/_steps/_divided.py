"""Whether the steps of a model with `microbatches` divide batches: those of the user's may not call what does."""

import contextlib
from collections.abc import Generator
from contextvars import ContextVar

from ._model_like import ModelLike

_divided: ContextVar[list[bool] | None] = ContextVar("_divided", default=None)


def note_divided() -> None:
    """Say that a batch has been divided."""
    noted = _divided.get()
    if noted is not None:
        noted.append(True)


@contextlib.contextmanager
def told_unless_divided(model: ModelLike) -> Generator[None]:
    """**Raises:** `ValueError` for a model with `microbatches` whose steps didn't divide the batch."""
    noted: list[bool] = []
    token = _divided.set(noted)
    try:
        yield
    finally:
        _divided.reset(token)
    if model.microbatches > 1 and not noted:
        raise ValueError(
            f"`{type(model).__name__}` has `microbatches={model.microbatches}`, which have no effect: its steps don't "
            "call the `grad_step` of `tg.Model`, which divides batches."
        )
