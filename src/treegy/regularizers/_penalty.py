"""What penalties with one factor share."""

import equinox as eqx
from jax.typing import ArrayLike

from .._terms._loss import Loss
from .._types import PyTree
from ._over_leaves import check_factor


class Penalty(Loss):
    """A number times a sum over the parameters that are selected."""

    l: ArrayLike = 0.01  # noqa: E741
    r"""The factor $\lambda$."""
    where: PyTree = eqx.field(default=None, kw_only=True)
    """Which leaves: a function of a leaf, or a PyTree prefix of booleans, as `equinox.partition` takes it."""

    def __check_init__(self) -> None:
        check_factor("l", self.l)
