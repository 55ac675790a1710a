"""How far distributions are from each other."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ..._describe import describe
from ..._errors import ContractError
from ..._terms._accumulator import safe_divide
from ..._terms._classes import class_axis
from ..._terms._elementwise import in_floats, laid_along
from ..._terms._metric import Metric
from ...losses._unit_deviance import unit_deviance


def _distributions(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return two distributions along the last axis, each divided by its sum."""
    class_axis(y_true, y_pred)
    one, other = (
        safe_divide(p, jnp.broadcast_to(jnp.sum(p, -1, keepdims=True), p.shape)) for p in in_floats(y_true, y_pred)
    )
    return one, other


class JensenShannonDivergence(Metric):
    r"""How far two distributions are from their mean, $\frac12 \text{KL}(y \,\|\, m) + \frac12 \text{KL}(p \,\|\, m)$
    with $m = \frac{y + p}{2}$, in nats: from 0 to $\log 2$. The mean over examples.

    `y_true` and `y_pred` are distributions of the same shape `(batch, ..., classes)`, which are divided by their sums;
    one that is 0 everywhere is far from any other by half of $\log 2$. Its root is the Jensen-Shannon distance.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no last axis of several classes.

    ??? cite

        Lin, *Divergence Measures Based on the Shannon Entropy*, IEEE Transactions on Information Theory 37 (1991).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        divergence = tg.metrics.JensenShannonDivergence()
        assert abs(float(divergence(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]]))) - jnp.log(2)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        one, other = _distributions(y_true, y_pred)
        mean = (one + other) / 2
        there = jnp.where(mean > 0, mean, jnp.ones_like(mean))
        # Terms that aren't negative: logarithms of almost equal distributions would leave their rounding.
        terms = sum(jnp.where(mean > 0, unit_deviance(of, there, 1.0), jnp.zeros_like(of)) for of in (one, other))
        return jnp.sum(jnp.where(jnp.isnan(mean), mean, terms), axis=-1) / 4


def _positions(positions: object) -> tuple[float, ...] | None:
    if positions is None:
        return None
    numbers = np.asarray(positions)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise TypeError(f"`positions` is a list of numbers, and got {describe(positions)}.")
    if not np.all(np.diff(numbers) > 0):
        raise ValueError("`positions` must increase from bin to bin.")
    return tuple(numbers.astype(float).tolist())


# It takes anything, to refuse it by name; to type checkers it says what will do.
_as_positions: Callable[[Sequence[float] | np.ndarray | None], tuple[float, ...] | None] = _positions


class Wasserstein(Metric):
    r"""How far the mass of one distribution has to be moved to become the other, the Wasserstein-1 or earth mover's
    distance, $\sum_{c < C} (t_{c+1} - t_c) \left|\sum_{b \le c} (y_b - p_b)\right|$. The mean over examples.

    `y_true` and `y_pred` are distributions of the same shape `(batch, ..., bins)`, which are divided by their sums. The
    bins stand for numbers $t$ in increasing order. Unlike in a crossentropy, to be off by one bin costs less than by
    two.

    **Raises:** `ValueError` where `positions` don't increase. [`treegy.ContractError`][] where the shapes differ, there
    is no last axis of several bins, or there are not as many positions.

    ??? cite

        Vallender, *Calculation of the Wasserstein Distance Between Probability Distributions on the Line*, Theory of
        Probability and its Applications 18 (1974).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        distance = tg.metrics.Wasserstein(positions=[0, 1, 10])
        assert float(distance(jnp.array([[1, 0, 0]]), jnp.array([[0.0, 0.5, 0.5]]))) == 5.5
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    # Static, since their number belongs to a shape and their order is checked.
    positions: tuple[float, ...] | None = eqx.field(default=None, kw_only=True, static=True, converter=_as_positions)
    """The numbers that the bins stand for; 0, 1, 2, ... by default."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        one, other = _distributions(y_true, y_pred)
        apart = jnp.abs(jnp.cumsum(one - other, axis=-1)[..., :-1])
        if self.positions is None:
            return jnp.sum(apart, axis=-1)
        if len(self.positions) != one.shape[-1]:
            raise ContractError(
                f"There are {len(self.positions)} `positions`, and `y_pred` has {one.shape[-1]} bins along its last "
                "axis."
            )
        widths = jnp.asarray(np.diff(self.positions), apart.dtype)
        return jnp.sum(apart * laid_along(widths, apart.ndim - 1, apart.ndim), axis=-1)
