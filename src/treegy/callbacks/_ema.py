"""`EMA`: validate with averaged parameters."""

from typing import Any

import jax

from .._callback import Callback, Logs


class EMA(Callback):
    """Use the averaged parameters that [`treegy.with_ema`][] keeps: for validation, and in the end if wanted.

    The parameters that are trained are never touched while training goes on.

    **Raises:** `ValueError` when training begins if the optimizer keeps no average.
    """

    def __init__(self, validate: bool = True, swap_at_end: bool = False):
        """**Arguments:**

        - `validate`: whether validation looks at the averaged model.
        - `swap_at_end`: whether the model that `fit` returns has the averaged parameters.
        """
        self._validate = validate
        self._swap = swap_at_end

    @property
    def averaged(self) -> Any:
        """The model as it is now, with averaged parameters."""
        return averaged(self.model)

    def on_train_begin(self, logs: Logs) -> None:
        averaged(self.model)

    def to_validate(self, model: Any) -> Any:
        return averaged(model) if self._validate else model

    def on_train_end(self, logs: Logs) -> None:
        if self._swap:
            self.model = averaged(self.model)


def averaged(model: Any) -> Any:
    from ..optimizers._with_ema import EmaState

    states = model.states
    found = [
        node
        for node in jax.tree.leaves(states.get("optimizer_states"), is_leaf=lambda n: isinstance(n, EmaState))
        if isinstance(node, EmaState)
    ]
    if not found:
        raise ValueError(
            "the optimizer keeps no average of the parameters: wrap it, `optimizer=tg.with_ema(optax.adam(1e-3))`."
        )
    params = jax.tree.map(lambda a, p: a.astype(p.dtype), found[0].average, states.net_params)
    return model.replace(states=states.update(net_params=params))
