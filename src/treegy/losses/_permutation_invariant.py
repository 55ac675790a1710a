"""Losses of sources that are predicted in whatever order: those of the best order count."""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._describe import array_name, describe
from .._errors import ContractError
from .._terms._loss import Loss
from .._types import PyTree
from ._si_sdr import SISDR

_MOST = 8


def of_best_order(
    of: Callable[[Array, Array], Any], y_true: Array, y_pred: Array, most: bool
) -> tuple[Float[Array, "batch"], Array]:
    """Return the mean over sources of the values of the best order of what is predicted, and that order.

    All orders are tried, of the values of all pairs.

    **Arguments:**

    - `of`: gives a value for each of many examples.
    - `y_true`, `y_pred`: `(batch, sources, ...)`.
    - `most`: whether the best order is that of the largest values.

    **Returns:** `(batch,)`, and `(batch, sources)`: for each source of `y_true`, which one of `y_pred` it is.

    **Raises:** [`treegy.ContractError`][] where there aren't 1 to 8 sources of the same shape, or `of` doesn't give a
    value for each.
    """
    if y_true.shape != y_pred.shape or y_pred.ndim < 3 or not 1 <= y_pred.shape[1] <= _MOST:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must be sources of the same shape, like "
            f"(batch, sources, time), of which all orders are tried: 1 to {_MOST} of them."
        )
    batch, sources = y_pred.shape[:2]
    rest = y_pred.shape[2:]
    pairs = (batch, sources, sources, *rest)
    # Each source that is meant beside each that is predicted, all of them as examples of their own.
    meant, found = jnp.broadcast_to(y_true[:, :, None], pairs), jnp.broadcast_to(y_pred[:, None], pairs)
    values = of(meant.reshape(-1, *rest), found.reshape(-1, *rest))
    if not (hasattr(values, "shape") and values.shape == (batch * sources**2,)):
        raise ContractError(
            f"The values of pairs of sources are {describe(values)}, and one for each of {batch * sources**2} is "
            "expected: what is permuted must have one value per example."
        )
    values = values.reshape(batch, sources, sources)
    orders = jnp.asarray(list(itertools.permutations(range(sources))))
    of_orders = jnp.mean(values[:, jnp.arange(sources), orders], axis=-1)
    best = (jnp.argmax if most else jnp.argmin)(of_orders, axis=-1)
    return jnp.take_along_axis(of_orders, best[:, None], axis=-1)[:, 0], orders[best]


def best_order(
    of: Callable[[Array, Array], Any], y_true: Num[Array, "..."], y_pred: Num[Array, "..."]
) -> Num[Array, "batch sources"]:
    """Which source of `y_pred` is which of `y_true`: the order of the least loss.

    **Arguments:**

    - `of`: a loss as a function, such as [`treegy.losses.si_sdr`][], with one value per example.
    - `y_true`, `y_pred`: `(batch, sources, ...)`, of the same shape.

    **Returns:**

    Indices `(batch, sources)`, with which `jnp.take_along_axis(y_pred, order[..., None], axis=1)` puts `y_pred` in the
    order of `y_true`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there are more than 8 sources.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true = jnp.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
        order = tg.losses.best_order(tg.losses.snr, y_true, y_true[:, jnp.array([1, 2, 0])])
        assert order.tolist() == [[2, 0, 1]]
        ```
    """
    return of_best_order(of, y_true, y_pred, most=False)[1]


class PermutationInvariant(Loss):
    """A loss of sources that are predicted in whatever order: the mean over sources, in the order in which it is least.

    `y_true` and `y_pred` are `(batch, sources, ...)`, of the same shape, and the loss gets sources as its examples. All
    orders are tried of the values of all pairs, so that there are at most 8 sources. [`treegy.losses.best_order`][]
    says which order it is.

    **Raises:** `TypeError` where `loss` isn't a loss. [`treegy.ContractError`][] where the shapes differ, where there
    are more than 8 sources, or where the loss hasn't one value per example.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sources = jnp.array([[[1.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 3.0]]])
        loss = tg.losses.PermutationInvariant(tg.losses.MeanSquaredError())
        assert loss(sources, sources[:, ::-1]) == 0
        ```

    ??? cite

        Yu et al., *Permutation Invariant Training of Deep Models for Speaker-Independent Multi-Talker Speech
        Separation*, ICASSP 2017.
    """

    loss: PyTree = eqx.field(default_factory=SISDR)
    """What compares a source with another one: a loss of `y_true` and `y_pred`, whose own weight and reduction don't
    matter."""

    def __check_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise TypeError(f"`loss` is a loss, such as tg.losses.SISDR(), and got {describe(self.loss)}.")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return of_best_order(self.loss.call, y_true, y_pred, most=False)[0]
