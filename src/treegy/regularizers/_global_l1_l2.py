"""A penalty on the absolute values and the squares of all parameters."""

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._terms._loss import Loss
from .._types import PyTree
from ._global_l1 import global_l1
from ._global_l2 import global_l2
from ._over_leaves import check_factor


def global_l1_l2(
    parameters: PyTree, l1: ArrayLike = 0.0, l2: ArrayLike = 0.0, *, where: PyTree = None
) -> Float[Array, ""]:
    r"""The sum of both penalties, $\lambda_1 \sum_i |\theta_i| + \lambda_2 \sum_i \theta_i^2$.

    **Arguments:**

    - `parameters`, `where`: as in [`treegy.regularizers.global_l1`][].
    - `l1`, `l2`: the factors $\lambda_1$ and $\lambda_2$.

    **Returns:**

    A scalar, in at least float32.

    **Raises:** [`treegy.ContractError`][] where `where` selects no leaf.
    """
    return global_l1(parameters, l1, where=where) + global_l2(parameters, l2, where=where)


class GlobalL1L2(Loss):
    r"""A penalty on the absolute values and the squares of all parameters: [`treegy.regularizers.global_l1_l2`][].

    It is a loss like others: what it adds to the total is logged. It isn't weighted by `sample_weight`.

    **Raises:** `ValueError` where `l1` or `l2` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        assert tg.regularizers.GlobalL1L2(l1=1.0, l2=0.5)({"weight": jnp.array([2.0, -4.0])}) == 16
        ```
    """

    l1: ArrayLike = 0.0
    r"""The factor $\lambda_1$ of the absolute values."""
    l2: ArrayLike = 0.0
    r"""The factor $\lambda_2$ of the squares."""
    where: PyTree = eqx.field(default=None, kw_only=True)
    """Which leaves: a function of a leaf, or a PyTree prefix of booleans, as `equinox.partition` takes it."""

    def __check_init__(self) -> None:
        check_factor("l1", self.l1)
        check_factor("l2", self.l2)

    def call(self, parameters: PyTree) -> Float[Array, ""]:
        return global_l1_l2(parameters, self.l1, self.l2, where=self.where)
