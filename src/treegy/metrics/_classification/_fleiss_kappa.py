"""How much more several raters agree than by chance."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._describe import array_name, describe, is_arraylike
from ..._errors import ContractError
from ..._terms._accumulator import Sum, safe_divide
from ..._terms._elementwise import all_in_floats
from ..._terms._metric import Metric
from ..._terms._term import Asking
from ..._terms._weights import weigh
from ..._types import PyTree
from .._accumulators._value_of import ValueOf
from .._values._of import Of, as_of, asking_weights_too, check_of_examples


class FleissKappa(Metric):
    r"""How much more several raters agree than by chance, $\kappa = \frac{\bar P - P_e}{1 - P_e}$.

    $n_{ij}$ of the $n_i$ raters of the example $i$ say that it is of class $j$. Two of them agree in the share
    $P_i = \frac{\sum_j n_{ij}^2 - n_i}{n_i (n_i - 1)}$ of the pairs, on average $\bar P$; by chance
    $P_e = \sum_j q_j^2$, where $q_j$ is the mean of $n_{ij} / n_i$. Raters needn't be the same ones for all examples,
    nor as many; examples of fewer than two don't count.

    The counts $n_{ij}$ are of the shape `(batch, ..., classes)`; `of` says where they are. `jax.nn.one_hot(ratings,
    classes).sum(axis=1)` makes them of `(batch, raters)` class indices. The value is 0 where all say the same class,
    and where there are no examples. A count that is negative or NaN makes it NaN.

    **Raises:** `TypeError` where `of` is neither a name nor a function, `ValueError` where it isn't about examples.
    [`treegy.ContractError`][] where the counts aren't an array with an axis of several classes.

    ??? cite "Reference"

        Fleiss, *Measuring nominal scale agreement among many raters*, 1971.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        kappa = tg.metrics.FleissKappa()
        counts = jnp.array([[3, 0], [2, 1], [0, 3], [0, 3]])
        assert abs(float(kappa(y_true=counts)) - 23 / 35) < 1e-6
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_true", static=True, converter=as_of("of"))
    """The counts: the name of a value, or a function that asks for values by name and returns them."""

    local_axes: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_of_examples(self.of, "kappa")

    def call(self, counts: PyTree, sample_weight: PyTree = None) -> ValueOf:
        if not is_arraylike(counts) or counts.ndim < 2 or counts.shape[-1] < 2:
            got = array_name(counts) if is_arraylike(counts) else describe(counts)
            raise ContractError(
                f"`of` gives {got}, and counts of raters are expected, (batch, classes): how many of them say that an "
                "example is of each class."
            )
        (counts,) = all_in_floats({"counts": counts})
        raters = jnp.sum(counts, axis=-1)
        pairs = raters * (raters - 1)
        agreeing = safe_divide(jnp.sum(counts * (counts - 1), axis=-1), pairs)
        shares = safe_divide(counts, jnp.broadcast_to(raters[..., None], counts.shape))
        valid = jnp.all(counts >= 0, axis=-1)
        _, weights, _ = weigh(raters, sample_weight)
        weights = jnp.where(valid & (raters < 2), jnp.zeros_like(weights), weights)
        # A weight, an agreement, and a share of each class.
        each = jnp.concatenate([jnp.ones_like(raters)[..., None], agreeing[..., None], shares], axis=-1)
        each = jnp.where(valid[..., None], each, jnp.nan)
        each = jnp.where(weights[..., None] == 0, jnp.zeros_like(each), each * weights[..., None])
        return ValueOf(Sum(jnp.sum(each.reshape(-1, each.shape[-1]), axis=0)), _fleiss_kappa)

    def _asking(self) -> Asking:
        return asking_weights_too(self.of, "FleissKappa", self.call)


def _fleiss_kappa(sums: Float[Array, "n"]) -> Float[Array, ""]:
    total, means = sums[0], safe_divide(sums[1:], jnp.broadcast_to(sums[0], sums[1:].shape))
    by_chance = jnp.sum(means[1:] ** 2)
    # Of two shares and more that aren't 0, 1 minus the sum of their squares: what the rounding of squares would leave.
    missing = jnp.sum(means[1:] * (1 - means[1:]))
    alone = jnp.sum(means[1:] > 0) <= 1
    value = safe_divide(means[0] - by_chance, missing)
    return jnp.where(alone & ~jnp.isnan(total), 0, value)
