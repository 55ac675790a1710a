"""`Optimizer`: an optimizer whose learning rate is seen, and can follow the epoch."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Int

from .._describe import describe, is_traced
from .._injection._inject import request
from .._pretty import called
from .._types import Function, PyTree
from ._nodes import nodes


class Optimizer(eqx.Module):
    """An optimizer whose learning rate is a part of its state: it is logged as `lr`, the one that was really used.

    It can follow a schedule by step and epoch; where it doesn't, callbacks such as
    [`treegy.callbacks.ReduceLROnPlateau`][] can change it. Made of `optax.inject_hyperparams`; the rate is kept in
    float32, also for models in half precision. Optimizers that differ in their rate alone share compiled programs.

    Epochs are counted over all runs of a model. `fit(initial_epoch=n)` sets the count to the beginning of that epoch.

    !!! example

        ```python
        import optax
        import treegy as tg

        optimizer = tg.Optimizer(
            optax.adamw, lambda step, epoch: 1e-3 * 0.5**epoch, steps_per_epoch=938, weight_decay=1e-4
        )
        ```
    """

    _make: Any
    # An array: one program serves all rates.
    _rate: Any
    _arguments: dict[str, Any]

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
            it really has before it begins, it compares, also inside of `optax.chain` and the like.
        - `**arguments`: more of what `optimizer` takes.

        **Raises:** `TypeError` for an optimizer that is made already, `ValueError` where `steps_per_epoch` is missing.
        """
        if hasattr(optimizer, "update") or not callable(optimizer):
            raise TypeError(
                f"`optimizer` is {describe(optimizer)}; the function that makes it is expected: "
                "`tg.Optimizer(optax.adam, 1e-3)`, not `tg.Optimizer(optax.adam(1e-3))`."
            )
        rate = learning_rate
        if callable(learning_rate) and _positional(learning_rate) > 1:
            if steps_per_epoch is None:
                raise ValueError(
                    "a `learning_rate` that is a function of the step and the epoch needs `steps_per_epoch`."
                )
            if steps_per_epoch < 1:
                raise ValueError(f"`steps_per_epoch` is {steps_per_epoch}; at least 1 is expected.")
        elif not callable(learning_rate):
            if steps_per_epoch is not None:
                raise ValueError(
                    f"`steps_per_epoch` is {steps_per_epoch}, and `learning_rate` is {describe(learning_rate)}, which "
                    "is the same in every epoch: leave `steps_per_epoch` out."
                )
            rate = jnp.asarray(learning_rate, jnp.float32)
        self._make = optimizer
        self._rate = rate if steps_per_epoch is None else ScheduleByEpoch(rate, steps_per_epoch)
        self._arguments = arguments

    def __pdoc__(self, **options: Any) -> Any:
        rate = self._rate
        if _is_readable(rate):
            rate = float(f"{float(rate):.6g}")
        return called("Optimizer", [("", self._make), ("", rate), *self._arguments.items()], **options)

    @property
    def _transform(self) -> Any:
        def made(lr: ArrayLike) -> Any:
            return self._make(learning_rate=lr, **self._arguments)

        # In half precision, a rate would be rounded to two or three digits.
        return optax.inject_hyperparams(made, hyperparam_dtype=jnp.float32)(lr=self._rate)

    def init(self, params: PyTree) -> PyTree:
        """Return the state before the first step."""
        return self._transform.init(params)

    def update(self, updates: PyTree, state: PyTree, params: PyTree = None, **extra: Any) -> tuple[PyTree, PyTree]:
        """`(updates, state)` of one step."""
        return self._transform.update(updates, state, params, **extra)


def _is_readable(rate: Any) -> bool:
    if not isinstance(rate, jax.Array) or is_traced(rate) or rate.ndim:
        return False
    return rate.is_fully_addressable and not rate.is_deleted()


class EpochState(NamedTuple):
    """Where a schedule by epoch is."""

    step: Int[Array, ""]
    steps_per_epoch: Int[Array, ""]


class ScheduleByEpoch(eqx.Module):
    """A schedule of the step, or of the step and the epoch, that knows how long its epochs are."""

    function: Function | Array
    steps_per_epoch: int = eqx.field(static=True)

    def init(self) -> EpochState:
        return EpochState(jnp.zeros((), jnp.int32), jnp.asarray(self.steps_per_epoch, jnp.int32))

    def update(self, state: EpochState, **extra: Any) -> EpochState:
        return state._replace(step=state.step + 1)

    def __call__(self, state: EpochState, **extra: Any) -> Array | float:
        if not callable(self.function):
            return self.function
        if _positional(self.function) > 1:
            return self.function(state.step, state.step // self.steps_per_epoch)
        return self.function(state.step)


def at_epoch(optimizer_states: PyTree, epoch: int, steps: int | None) -> PyTree:
    """Return states whose schedules by epoch are at the beginning of this one; where it is 0, the same ones.

    **Arguments:**

    - `epoch`: with which a run begins, counted from 0.
    - `steps`: how many steps its epochs have, if that is known.

    **Raises:** `ValueError` if that isn't what the optimizer was made for.
    """
    found = nodes(optimizer_states, _is_epoch_state)
    for state in found:
        # Those of a stack of models are all the same.
        told = int(np.asarray(state.steps_per_epoch).flat[0])
        if steps is not None and told != steps:
            raise ValueError(
                f"the optimizer was made with `steps_per_epoch={told}`, and an epoch of this run has {steps} steps: "
                "its learning rate would follow other epochs. Make it with "
                f"`tg.Optimizer(..., steps_per_epoch={steps})`."
            )
    if not epoch or all(np.all(np.asarray(state.step == epoch * state.steps_per_epoch)) for state in found):
        return optimizer_states

    def moved(node: PyTree) -> PyTree:
        # A copy, since what training changes is donated.
        return node._replace(step=epoch * node.steps_per_epoch) if _is_epoch_state(node) else node

    return jax.tree.map(moved, optimizer_states, is_leaf=_is_epoch_state)


def _is_epoch_state(node: object) -> bool:
    return isinstance(node, EpochState)


def _positional(fn: Function) -> int:
    wanted = request(fn)
    return sum(name in wanted.required for name in wanted.positional)
