"""`TerminateOnNaN`: stop when the loss isn't finite any more."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._checks import flag
from .._inspect._reads import first_line
from .._loop._callback import Callback, Logs
from .._loop._every import next_multiple
from .._steps._stacks import refuse_stack
from .._types import PyTree


class TerminateOnNaN(Callback):
    """Stop when the loss of the epoch so far isn't finite any more; of a stack, each model for itself.

    It is looked at every so many steps, which costs nothing in between; the loss of an epoch stays NaN once it was.

    With `explain`, every step is looked at, its parameters too, and the one that went wrong is replayed from its own
    states, batch and key: `explanation` says what [`treegy.debug.explain_nan`][] does, and so does `history.stopped`.
    That is slow: it is for finding out, once a run has failed. It changes nothing in the run, and where
    replaying fails, only the explanation is missing.
    """

    explanation: str | None

    def __init__(self, every: int = 32, explain: bool = False, raise_error: bool = False):
        """**Arguments:**

        - `every`: after how many steps to look, and at the end of each epoch.
        - `explain`: whether to look at every step, and to replay the one that goes wrong.
        - `raise_error`: whether `fit` raises `RuntimeError` instead of returning the model.
        """
        if every < 1:
            raise ValueError(f"`every` is {every}; at least 1 is expected.")
        self._every = 1 if explain else every
        self._explain = explain
        self._raises = flag("raise_error", raise_error)
        self._before: Any = None
        self.explanation = None
        if explain:
            # On the instance, as nobody else has hooks of batches called for this.
            setattr(self, "on_train_batch_begin", self._remember)  # noqa: B010

    def on_train_begin(self, logs: Logs) -> None:
        self.explanation = None
        if self._explain:
            refuse_stack(self.training_run.model, "`TerminateOnNaN(explain=True)`")

    def _remember(self, batch: int, logs: Logs) -> None:
        self._before = self.model

    def next_step(self, step: int) -> int:
        return next_multiple(step, self._every)

    def on_step_end(self, step: int, logs: Logs) -> None:
        if not self._explain:
            self._look(logs, f"by step {step}")
        elif not _are_finite(logs).all() or _has_become_bad(self._before.parameters, self.model.parameters):
            self.explanation = self._explained()
            self._end(f"step {step} has values that aren't finite.\n{self.explanation}")

    def _explained(self) -> str:
        from ..debug._explain_nan import explain_step

        try:
            found = explain_step(self._before, self.training_run.last_batch)
        except Exception as error:  # The model that was trained so far is worth more than the explanation.
            return f"It couldn't be explained: {first_line(error)}"
        return found or "Replayed operation by operation, it is finite."

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._look(logs, f"in epoch {epoch + 1}")

    def _look(self, logs: Logs, when: str) -> None:
        finite = _are_finite(logs)
        if finite.ndim and finite.any() and not self._raises:
            # The other models of a stack train on.
            self.training_run.stop_models(~finite)
        elif not finite.all():
            self._end(f"the loss became {logs['loss']} {when}: `TerminateOnNaN(explain=True)` says why")

    def _end(self, reason: str) -> None:
        if self._raises:
            raise RuntimeError(f"`TerminateOnNaN`: {reason}")
        self.stop(reason)

    def close(self) -> None:
        self._before = None


def _are_finite(logs: Logs) -> np.ndarray:
    """Return whether the loss is finite; of a stack, whether that of each model is."""
    return np.asarray(np.isfinite(np.asarray(logs.get("loss", 0.0))))


def _has_become_bad(before: PyTree, after: PyTree) -> bool:
    """Whether an element isn't finite that was, or is NaN and wasn't. Infinity as in masks may stay."""

    def bad(old: Array, new: Array) -> bool:
        return bool(jnp.any((jnp.isfinite(old) & ~jnp.isfinite(new)) | (jnp.isnan(new) & ~jnp.isnan(old))))

    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return any(bad(old, new) for old, new in pairs if eqx.is_inexact_array(old))
