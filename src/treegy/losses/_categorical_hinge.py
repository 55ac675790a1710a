"""The hinge loss of several classes."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._terms._classes import class_axis
from .._terms._elementwise import in_floats
from .._terms._loss import Loss


def categorical_hinge(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""How far the score of the true class is from exceeding those of all others by a margin of 1,
    $\max\left(1 + \max_c (1 - y_c) \hat y_c - \sum_c y_c \hat y_c, 0\right)$.

    The inner maximum is at least 0, where the label is 1: scores below 0 ask for nothing.

    **Arguments:**

    - `y_true`: one-hot labels of the shape `(batch, ..., classes)`. Booleans and integers will do.
    - `y_pred`: scores of the same shape, of any size. Nothing is broadcast.

    **Returns:**

    One value per example, `(batch, ...)`. In the dtype of the arguments, at least float32. Nothing is averaged over
    examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no last axis of several classes.
    """
    axis = class_axis(y_true, y_pred)
    y_true, y_pred = in_floats(y_true, y_pred)
    right = jnp.sum(y_true * y_pred, axis=axis)
    wrong = jnp.max((1 - y_true) * y_pred, axis=axis)
    return jnp.maximum(1 + wrong - right, 0)


class CategoricalHinge(Loss):
    """The hinge loss of one-hot labels: [`treegy.losses.categorical_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.CategoricalHinge()
        assert loss(jnp.array([[0, 1, 0]]), jnp.array([[0.5, 2.0, 1.5]])) == 0.5
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_hinge(y_true, y_pred)
