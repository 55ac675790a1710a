"""What a run that failed had trained."""

from collections.abc import Callable
from typing import Any

import jax

from .._steps._model_like import ModelLike
from .._steps._stacks import step_of
from ._history import History

# The last run that failed, until another one begins.
_LAST: list[tuple[Any, History]] = []


def rescued(error: BaseException | None = None) -> tuple[Any, History]:
    """Return the model that a `fit` had trained when it failed, after its last whole step, and its history so far.

    The error's last note says which step that was. Where the failure was that of a compiled step, whose results don't
    exist, there is no such model.

    **Arguments:**

    - `error`: what `fit` raised. Without it, that of the last `fit` that failed in this process, as long as no other
        has begun since.

    **Returns:**

    `(model, history)`, as `fit` would have returned them.

    **Raises:** `ValueError` if there is none.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import optax
        import treegy as tg

        def batches():
            yield np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
            raise OSError("the disk is gone")

        net = eqx.nn.Linear(3, 2, key=jax.random.key(0))
        model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
        try:
            model, history = model.fit(batches(), verbose=0)
        except OSError as error:
            model, history = tg.rescued(error)
        assert model.states.step == 1
        ```
    """
    if error is not None:
        found = getattr(error, "_treegy_rescued", None)
        if found is None:
            raise ValueError(f"{type(error).__name__} was not raised by a `fit` that had trained a model.")
        return found
    if not _LAST:
        raise ValueError("no `fit` has failed in this process since the last one began.")
    return _LAST[0]


def forget() -> None:
    """Let go of what the last failed run had trained."""
    _LAST.clear()


def rescue(error: BaseException, current: Callable[[], ModelLike], history: History, trained: bool) -> None:
    """Have an error carry a model and its history, if its arrays exist.

    **Arguments:**

    - `current`: gives the model.
    - `trained`: whether it has been trained in this run, of which a note tells.
    """
    try:
        model = current()
        leaves = [leaf for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.Array)]
        if any(leaf.is_deleted() for leaf in leaves):
            return
        jax.block_until_ready(leaves)
        step = step_of(model.states)
    except Exception:  # whatever computing them has raised: there is nothing to rescue
        return
    forget()
    _LAST.append((model, history))
    try:
        setattr(error, "_treegy_rescued", (model, history))  # noqa: B010
        how = "`tg.rescued(error)`, or `tg.rescued()` afterwards"
    except AttributeError:  # an error with slots
        how = "`tg.rescued()`"
    if trained:
        error.add_note(f"The model after step {step}, and the history so far: `model, history = ...` of {how}.")
