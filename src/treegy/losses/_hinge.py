"""The hinge losses of two classes."""

from typing import ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Num, Shaped

from .._terms._elementwise import matched, mean_over_last_axis
from .._terms._loss import Loss


def hinge(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""How far predictions are from being on the right side by a margin of 1, averaged over the last axis,
    $\frac{1}{d}\sum_i \max(1 - y_i \hat y_i, 0)$.

    **Arguments:**

    - `y_true`: -1 or 1, of the shape `(batch, ...)`. A 0 counts as -1, so that 0 and 1, or booleans, will do.
    - `y_pred`: scores of the same shape, of any size. Nothing is broadcast.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ.
    """
    return mean_over_last_axis(_missing(y_true, y_pred))


def squared_hinge(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The square of what [`treegy.losses.hinge`][] averages, $\frac{1}{d}\sum_i \max(1 - y_i \hat y_i, 0)^2$.

    Arguments, result and errors are those of [`treegy.losses.hinge`][].
    """
    return mean_over_last_axis(_missing(y_true, y_pred) ** 2)


def _missing(y_true: Array, y_pred: Array) -> Array:
    y_true, y_pred = matched(y_true, y_pred)
    # Label by label: whether one is 0 or -1 can't depend on what the others of its batch are.
    y_true = jnp.where(y_true == 0, -jnp.ones_like(y_true), y_true)
    return optax.losses.hinge_loss(y_pred, y_true)


class Hinge(Loss):
    """The hinge loss of two classes averaged over the last axis: [`treegy.losses.hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Hinge()
        assert loss(jnp.array([1, -1]), jnp.array([3.0, -0.5])) == 0.25
        assert loss(jnp.array([1, 0]), jnp.array([3.0, -0.5])) == 0.25
        ```
    """

    predictions: ClassVar[str | None] = "margins"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return hinge(y_true, y_pred)


class SquaredHinge(Loss):
    """The squared hinge loss of two classes averaged over the last axis: [`treegy.losses.squared_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        assert tg.losses.SquaredHinge()(jnp.array([1, -1]), jnp.array([3.0, 1.0])) == 2
        ```
    """

    predictions: ClassVar[str | None] = "margins"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return squared_hinge(y_true, y_pred)
