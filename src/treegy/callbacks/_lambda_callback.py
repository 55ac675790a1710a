"""`LambdaCallback`: a callback made of functions."""

from collections.abc import Callable
from typing import Any

from .._callback import Callback

_HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class LambdaCallback(Callback):
    """A callback made of functions, by the names of the hooks.

    !!! example

        ```python
        import treegy as tg

        losses = []
        telling = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
        ```
    """

    def __init__(self, **hooks: Callable[..., Any] | None):
        """**Arguments:**

        - `**hooks`: functions of what the hook of that name gets.

        **Raises:** `TypeError` for a name that is no hook, or what isn't callable.
        """
        for name, hook in hooks.items():
            if name not in _HOOKS:
                raise TypeError(f"there is no hook `{name}`; there are {', '.join(_HOOKS)}.")
            if hook is not None and not callable(hook):
                raise TypeError(f"`{name}` is {hook!r}; a function is expected.")
            if hook is not None:
                # On the instance: the loop asks which hooks there are.
                setattr(self, name, hook)
