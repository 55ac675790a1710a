"""A penalty on the absolute values of all parameters."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._terms._elementwise import absolute
from .._types import PyTree
from ._over_leaves import sum_over_leaves, times
from ._penalty import Penalty


def global_l1(
    parameters: PyTree,
    l: ArrayLike = 0.01,  # noqa: E741
    *,
    where: PyTree = None,
) -> Float[Array, ""]:
    r"""A number times the sum of the absolute values of all parameters, $\lambda \sum_i |\theta_i|$.

    The sum is over all elements of all leaves; it isn't averaged.

    **Arguments:**

    - `parameters`: a PyTree such as a module, of which the leaves that are floating (or complex) arrays count.
    - `l`: the factor $\lambda$.
    - `where`: which leaves, as `equinox.partition` takes it: a function of a leaf, such as `lambda p: p.ndim > 1`, or a
        PyTree of booleans that is a prefix of `parameters`. All by default.

    **Returns:**

    A scalar, in at least float32.

    **Raises:** [`treegy.ContractError`][] where `where` selects no leaf.
    """
    return times(l, sum_over_leaves(_modulus, parameters, where))


def _modulus(p: Array) -> Array:
    return jnp.abs(p) if jnp.iscomplexobj(p) else absolute(p)


class GlobalL1(Penalty):
    r"""A penalty on the absolute values of all parameters: [`treegy.regularizers.global_l1`][].

    It is a loss like others: what it adds to the total is logged. It isn't weighted by `sample_weight`.

    **Raises:** `ValueError` where `l` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        weights_only = tg.regularizers.GlobalL1(0.5, where=lambda p: p.ndim > 1)
        assert weights_only({"weight": jnp.full((2, 2), -2.0), "bias": jnp.ones(2)}) == 4
        ```
    """

    def call(self, parameters: PyTree) -> Float[Array, ""]:
        return global_l1(parameters, self.l, where=self.where)
