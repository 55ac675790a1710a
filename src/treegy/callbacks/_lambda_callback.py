"""`LambdaCallback`: a callback made of functions."""

from collections.abc import Callable
from typing import Any

from .._checks import positive
from .._loop._callback import HOOKS, Callback, no_such_hook
from .._loop._every import next_multiple


class LambdaCallback(Callback):
    """A callback made of functions, by the names of the hooks.

    !!! example

        ```python
        import treegy as tg

        losses = []
        telling = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
        often = tg.callbacks.LambdaCallback(on_step_end=lambda step, logs: losses.append(logs["loss"]), every=100)
        ```
    """

    holds_model: bool = True

    def __init__(self, *, every: int | None = None, **hooks: Callable[..., Any] | None):
        """**Arguments:**

        - `every`: after how many steps `on_step_end` is called, each time; 1 by default.
        - `**hooks`: functions of what the hook of that name gets.

        **Raises:** `TypeError` for a name that is no hook, what isn't callable, or `every` without `on_step_end`.
        """
        for name, hook in hooks.items():
            if name not in HOOKS:
                raise TypeError(no_such_hook(f"`LambdaCallback` got `{name}`", name))
            if hook is not None and not callable(hook):
                raise TypeError(f"`{name}` is {hook!r}; a function is expected.")
            if hook is not None:
                # On the instance: the loop asks which hooks there are.
                setattr(self, name, hook)
        if hooks.get("on_step_end") is not None:
            steps = 1 if every is None else positive("every", every)
            setattr(self, "next_step", lambda step: next_multiple(step, steps))  # noqa: B010
        elif every is not None:
            raise TypeError("`every` says how often `on_step_end` is called, which isn't given.")
