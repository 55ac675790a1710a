"""`TerminateOnNaN`: stop when the loss isn't finite any more."""

import math
from typing import Any

import jax

from .._callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stop when the loss of the epoch so far isn't finite any more.

    It is looked at every so many steps, which costs nothing in between; the loss of an epoch stays NaN once it was.

    With `explain`, every step is looked at, and the one that went wrong is replayed from its own states, batch and key:
    `explanation` says what [`treegy.debug.explain_nan`][] does, and so does `history.stopped`. That is slow: it is for
    finding out, once a training has failed.
    """

    explanation: str | None

    def __init__(self, every: int = 32, explain: bool = False):
        """**Arguments:**

        - `every`: after how many steps to look, and at the end of each epoch.
        - `explain`: whether to look at every step, and to replay the one that goes wrong.
        """
        if every < 1:
            raise ValueError(f"`every` is {every}; at least 1 is expected.")
        self._every = 1 if explain else every
        self._explain = explain
        self._before: Any = None
        self.explanation = None

    def on_train_begin(self, logs: Logs) -> None:
        self.explanation = None
        self._before = self.model if self._explain else None

    def next_step(self, step: int) -> int:
        return (step // self._every + 1) * self._every

    def on_step_end(self, step: int, logs: Logs) -> None:
        if self._explain:
            after = self.model
            if not _all_finite(after.parameters) or not _is_finite(logs):
                from ..debug._explain_nan import explain_step

                self.explanation = explain_step(self._before, self._run.last_batch)
                self.stop(f"step {step} is not finite.\n{self.explanation}")
            self._before = after
        else:
            self._look(logs, f"by step {step}")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._look(logs, f"in epoch {epoch + 1}")

    def _look(self, logs: Logs, when: str) -> None:
        if not _is_finite(logs):
            self.stop(f"the loss became {logs['loss']} {when}")

    def close(self) -> None:
        self._before = None


def _is_finite(logs: Logs) -> bool:
    return math.isfinite(logs.get("loss", 0.0))


def _all_finite(tree: Any) -> bool:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return all(bool(jax.numpy.isfinite(leaf).all()) for leaf in leaves)
