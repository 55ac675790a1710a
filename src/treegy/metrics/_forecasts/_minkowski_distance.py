"""The distance between all labels and all predictions."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import fixed_number
from ..._terms._accumulator import Accumulator, Sum
from ..._terms._elementwise import matched
from ..._terms._metric import Metric
from ..._terms._powers import LOWEST, exponent_of, times_power
from ..._terms._weights import weigh


class PowerSum(Accumulator):
    """The sum of powers of numbers that are divided by a power of two first, the one next below the largest."""

    total: Sum
    exponent: Array
    """`LOWEST` where all are 0."""
    p: float = eqx.field(static=True)

    def empty(self) -> "PowerSum":
        return PowerSum(self.total.empty(), jnp.full_like(self.exponent, LOWEST), self.p)

    def merge(self, other: "PowerSum") -> "PowerSum":
        exponent = jnp.maximum(self.exponent, other.exponent)
        mine, theirs = (
            one.total.times(jnp.exp2(self.p * (one.exponent - exponent).astype(one.total.total.dtype)))
            for one in (self, other)
        )
        return PowerSum(mine.merge(theirs), exponent, self.p)

    def compute(self) -> Array:
        """Return the root of the sum."""
        scale = jnp.where(self.exponent == LOWEST, 0, self.exponent)
        total = self.total.compute()
        root = jnp.where(total == 0, jnp.ones_like(total), total) ** (1 / self.p)
        return times_power(jnp.where(total == 0, jnp.zeros_like(root), root), scale)


class MinkowskiDistance(Metric):
    r"""The distance between all labels and all predictions, $\left(\sum_i w_i |y_i - \hat y_i|^p\right)^{1/p}$: with
    $p = 1$ the sum of absolute errors, with $p = 2$ the Euclidean distance.

    It grows with the number of examples: it is no mean. `y_true` and `y_pred` are real numbers of the same shape
    `(batch, ...)`; weights are `(batch,)`, or of that shape.

    **Raises:** `ValueError` where `p` is less than 1. [`treegy.ContractError`][] where the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        distance = tg.metrics.MinkowskiDistance(p=2)
        some, more = distance(jnp.array([0.0]), jnp.array([3.0])), distance(jnp.array([1.0]), jnp.array([-3.0]))
        assert abs(float(some.merge(more)) - 5) < 1e-6
        ```
    """

    # Static, since it belongs to what is accumulated.
    p: float = eqx.field(static=True, converter=fixed_number("p", "a number from 1 on", lambda p: p >= 1))
    """The power, at least 1."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> PowerSum:
        y_true, y_pred = matched(y_true, y_pred)
        apart = jnp.abs(y_true - y_pred)
        weights = weigh(apart, sample_weight)[1]
        apart = jnp.where(weights != 0, apart, jnp.zeros_like(apart))
        exponent = exponent_of(jnp.max(apart, initial=0))
        scaled = times_power(apart, jnp.where(exponent == LOWEST, 0, -exponent))
        return PowerSum(Sum(jnp.sum(weights * scaled**self.p)), exponent, self.p)
