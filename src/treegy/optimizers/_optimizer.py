"""`Optimizer`: an optimizer whose learning rate is seen, and can follow the epoch."""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import optax

from .._describe import describe


class Optimizer(eqx.Module):
    """An optimizer whose learning rate is a part of its state: it is logged as `lr`, the one that was really used.

    It can follow a schedule by step and epoch; where it doesn't, callbacks such as
    [`treegy.callbacks.ReduceLROnPlateau`][] can change it. Made of `optax.inject_hyperparams`.

    !!! example

        ```python
        import optax
        import treegy as tg

        optimizer = tg.Optimizer(
            optax.adamw, lambda step, epoch: 1e-3 * 0.5**epoch, steps_per_epoch=938, weight_decay=1e-4
        )
        ```
    """

    _transform: Any
    _steps_per_epoch: int | None = eqx.field(static=True)

    def __init__(
        self,
        optimizer: Any,
        learning_rate: Any,
        *,
        steps_per_epoch: int | None = None,
        **arguments: Any,
    ):
        """**Arguments:**

        - `optimizer`: what makes the optimizer of a `learning_rate`, such as `optax.adam`; not one that is made.
        - `learning_rate`: a number, a function of the step (as optax's schedules), or of the step and the epoch.
        - `steps_per_epoch`: how many steps an epoch has; needed for a function of the epoch. Where `fit` knows how many
            it really has before it begins, and sees the optimizer (not one inside of `optax.chain` and the like), it
            compares.
        - `**arguments`: more of what `optimizer` takes.

        **Raises:** `TypeError` for an optimizer that is made already, `ValueError` where `steps_per_epoch` is missing.
        """
        if hasattr(optimizer, "update") or not callable(optimizer):
            raise TypeError(
                f"`optimizer` is {describe(optimizer)}; the function that makes it is expected: "
                "`tg.Optimizer(optax.adam, 1e-3)`, not `tg.Optimizer(optax.adam(1e-3))`."
            )
        self._steps_per_epoch = steps_per_epoch
        rate = learning_rate
        if callable(learning_rate) and _positional(learning_rate) > 1:
            if steps_per_epoch is None:
                raise ValueError(
                    "a `learning_rate` that is a function of the step and the epoch needs `steps_per_epoch`."
                )
            if steps_per_epoch < 1:
                raise ValueError(f"`steps_per_epoch` is {steps_per_epoch}; at least 1 is expected.")
            rate = lambda step: learning_rate(step, step // steps_per_epoch)  # noqa: E731

        def made(lr: Any) -> Any:
            return optimizer(learning_rate=lr, **arguments)

        self._transform = optax.inject_hyperparams(made)(lr=rate)

    def init(self, params: Any) -> Any:
        """The state before the first step."""
        return self._transform.init(params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """`(updates, state)` of one step."""
        return self._transform.update(updates, state, params, **extra)


def check_steps_per_epoch(optimizer: Any, steps: int | None) -> None:
    """**Raises:** `ValueError` if the epochs of a training have another length than its optimizer was made for."""
    if not isinstance(optimizer, Optimizer):
        return
    told = optimizer._steps_per_epoch  # pyright: ignore[reportPrivateUsage]
    if told is not None and steps is not None and told != steps:
        raise ValueError(
            f"the optimizer was made with `steps_per_epoch={told}`, and an epoch of this training has {steps} steps: "
            f"its learning rate would follow other epochs. Make it with `tg.Optimizer(..., steps_per_epoch={steps})`."
        )


def _positional(fn: Callable[..., Any]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(fn).parameters.values()
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)
