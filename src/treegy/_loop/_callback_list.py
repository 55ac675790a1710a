"""Calling the callbacks: which hooks somebody listens to, and what they are told."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._describe import describe
from .._sharding._exchange import exchanged
from .._sharding._processes import is_first, is_shared
from .._sharding._strategy import Strategy
from .._steps._model_like import M, ModelLike
from .._types import Values
from .._warn import warn
from ._callback import Callback
from ._training_run import TrainingRun

if TYPE_CHECKING:
    Callbacks = Callback | Sequence[Callback] | None
else:  # anything else is refused below, in words of its own
    Callbacks = Any


class CallbackList:
    """The callbacks of one run. The user's list is never changed."""

    def __init__(
        self,
        callbacks: Callbacks,
        current: Callable[[], ModelLike],
        replace: Callable[[ModelLike], None] | None = None,
        run: TrainingRun | None = None,
        strategy: Strategy | None = None,
    ):
        """**Arguments:**

        - `callbacks`: a callback, a sequence of them, or `None`.
        - `current`: gives the model as it is now.
        - `replace`: makes training continue with another one.
        - `run`: the `fit` that calls them; `None` in `evaluate` and `predict`.
        - `strategy`: that of the model, whose processes stop together.

        **Raises:** `TypeError` for what isn't a callback.
        """
        if isinstance(callbacks, Callback):
            callbacks = [callbacks]
        if isinstance(callbacks, str) or not isinstance(callbacks, Sequence | None):
            raise TypeError(
                f"`callbacks` is {describe(callbacks)}; a list of `tg.callbacks.Callback`s is expected."
                + _made(callbacks)
            )
        self.callbacks: list[Callback] = list(callbacks or ())
        self.ended: str | None = None
        self.interrupted: str | None = None
        self.at_once = False
        self._hook = ""
        for i, callback in enumerate(self.callbacks):
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"`callbacks[{i}]` is {describe(callback)}; an instance of `tg.callbacks.Callback` is expected."
                    + _made(callback)
                )
        # Those that save what the others have become are called after them.
        self.callbacks.sort(key=lambda c: c.comes_last)
        # A callback may be used in a run within a run, as in an evaluation of its own: it returns to the outer one.
        self._outer = [(c, {name: getattr(c, name) for name in _OF_RUN}) for c in self.callbacks]
        self._strategy = strategy
        self._wishes: list[_Wish] = []
        first = is_first(strategy)
        stop = self._wish if is_shared(strategy) else self.stop
        for callback in self.callbacks:
            silent = callback.only_first_process and not first
            _set(callback, {"_current": current, "_replace": replace, "_stop": stop, "_run": run, "_silent": silent})
        # Those that are silent here count all the same: steps are made alike in all processes.
        self._heard = [c for c in self.callbacks if not c._silent]  # pyright: ignore[reportPrivateUsage]
        self._counting = [c for c in self.callbacks if _overrides(c, "next_step")]
        self._beating = [c for c in self._heard if _overrides(c, "heartbeat")]

    @property
    def stopped(self) -> str | None:
        """Why the run is to stop. If it ends, it doesn't matter that it was also interrupted."""
        return self.ended or self.interrupted

    def stop(self, reason: str, interrupt: bool = False) -> None:
        """End or interrupt the run as soon as can be; the first reason counts."""
        self._heed(_Wish(reason, interrupt, self._within))

    @property
    def _within(self) -> bool:
        """Whether who stops now doesn't mean the end of the epoch."""
        # At the end of an epoch it makes no difference, and in its beginning an epoch is meant.
        return self._hook not in ("on_epoch_begin", "on_train_begin")

    def _heed(self, wish: "_Wish") -> None:
        if wish.interrupt:
            self.interrupted = self.interrupted or wish.reason
        else:
            self.ended = self.ended or wish.reason
        self.at_once = self.at_once or wish.at_once

    def _wish(self, reason: str, interrupt: bool = False) -> None:
        """Have all processes stop as soon as they know of it: one that stopped alone would keep the others waiting."""
        self._wishes.append(_Wish(reason[:_REASON], interrupt, self._within))

    def take_wishes(self) -> "list[_Wish]":
        """Return what callbacks of this process want since this was last called, for the others."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def heed(self, wishes: Iterable[Sequence[Any]]) -> None:
        """Stop as the callbacks of all processes want it, in the same order in each of them."""
        for wish in wishes:
            self._heed(_Wish(*wish))

    def agree(self) -> None:
        """Have all processes stop if one of them wants to; all of them call this."""
        if is_shared(self._strategy):
            for wishes in exchanged(self._strategy, "whether to stop", self.take_wishes()):
                self.heed(wishes)

    def listens(self, *hooks: str) -> bool:
        """Whether any callback overrides one of these hooks."""
        return any(_overrides(c, h) for c in self.callbacks for h in hooks)

    @property
    def wants_every_step(self) -> bool:
        """Whether any callback wants one step to be made at a time."""
        return any(c.every_step for c in self.callbacks)

    @property
    def adds_to_logs(self) -> bool:
        """Whether a callback that isn't treegy's may add to the logs of an epoch, which all of them see."""
        hooks = ("on_epoch_end", "on_test_end", "on_test_batch_end")
        own = __name__.partition(".")[0] + "."
        return any(
            hook in vars(c) or (_overrides(c, hook) and not type(c).__module__.startswith(own))
            for c in self.callbacks
            for hook in hooks
        )

    def next_step(self, step: int) -> int | None:
        """After which step somebody wants to be called next."""
        wanted = [n for n in (c.next_step(step) for c in self._counting) if n is not None]
        return min(wanted, default=None)

    def step_end(self, before: int, step: int, logs: Callable[[], Any]) -> bool:
        """Call those who asked for `step` when there were `before` steps. Returns whether anybody did."""
        self._hook = "on_step_end"
        due = [c for c in self._counting if c.next_step(before) == step]
        for callback in due:
            values = logs()
            if callback in self._heard:
                callback.on_step_end(step, values)
        return bool(due)

    def chunk_end(self, step: int) -> None:
        self._hook = "heartbeat"
        for callback in self._beating:
            callback.heartbeat(step)

    def call(self, hook: str, *args: Any) -> None:
        self._hook = hook
        for callback in self._heard:
            getattr(callback, hook)(*args)

    def state(self) -> list[Any]:
        """Return what the callbacks have to remember, with the names of their classes."""
        return [[type(callback).__name__, callback.state()] for callback in self.callbacks]

    def restore(self, states: list[Any]) -> None:
        """Have the callbacks resume from what `state` returned, by the names of their classes and in their order."""
        waiting = [(name, state) for name, state in states if state]
        for callback in self.callbacks:
            found = next((pair for pair in waiting if pair[0] == type(callback).__name__), None)
            if found is not None:
                waiting.remove(found)
                if callback in self._heard:
                    callback.restore(found[1])
        if waiting:
            names = ", ".join(name for name, _ in waiting)
            warn(f"the backup holds the state of callbacks that aren't there now: {names}.")

    def validated(self, model: M) -> M:
        """Return the model that is to be validated."""
        for callback in self.callbacks:
            model = callback.to_validate(model)
        return model

    def close(self) -> None:
        """Close the callbacks. They let go of the model: after the run there is none that is current."""
        with contextlib.ExitStack() as stack:
            # All of them, also if one fails.
            for callback, outer in self._outer:
                stack.callback(self._release, callback, outer)

    def after_failure(self) -> list[str]:
        """Return what callbacks have to tell whoever sees that the run has failed."""
        found = [c._after_failure() for c in self._heard]  # pyright: ignore[reportPrivateUsage]
        return [told for told in found if told is not None]

    @staticmethod
    def _release(callback: Callback, outer: Values) -> None:
        within = outer["_current"] is not None
        try:
            # In a run within a run, what is open is that of the outer one.
            if not within and not callback._silent:  # pyright: ignore[reportPrivateUsage]
                callback.close()
        finally:
            _set(callback, outer)


# What a callback knows of the run that it is used in.
_OF_RUN = ("_current", "_replace", "_stop", "_run", "_silent")
# More of a reason isn't told to other processes.
_REASON = 200


class _Wish(NamedTuple):
    """What a callback wants: that the run stops."""

    reason: str
    interrupt: bool
    at_once: bool


def _set(callback: Callback, values: Values) -> None:
    for name in _OF_RUN:
        setattr(callback, name, values[name])


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(type(callback), hook) is not getattr(Callback, hook) or hook in vars(callback)


def _made(callback: object) -> str:
    if isinstance(callback, type):
        return f" Make an instance of it: `{callback.__name__}()`."
    return " Of functions, `tg.callbacks.LambdaCallback(on_epoch_end=...)` makes one." if callable(callback) else ""
