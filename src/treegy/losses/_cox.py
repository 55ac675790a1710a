"""Cox's partial likelihood of times until something happens."""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._converters import OneOf
from .._terms._loss import Loss
from .._terms._weights import Masked, lined_up
from .._types import PyTree
from ._pairs import log_sum_exp
from ._survival import survival

Ties: TypeAlias = Literal["efron", "breslow"]

_as_ties = OneOf("ties", "efron", "breslow")


def cox(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    ties: str = "efron",
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""Minus the logarithm of Cox's partial likelihood: how likely it was that it happened to this example, and to none
    of those to which it might have happened then, $\log \sum_{j : t_j \ge t_i} w_j e^{z_j} - z_i$.

    **Arguments:**

    - `y_true`: `(batch, 2)`: the time $t$, and 1 if it happened then, or 0 if it hadn't happened until then.
    - `y_pred`: logarithms of hazards $z$, `(batch,)`: the larger, the sooner. A constant added to all changes nothing.
    - `ties`: what is done about things that happen at the same time: with `"breslow"`, nothing; with `"efron"`, of the
        $m$ examples to which it happens then, a part $k / m$ is left out of the sum for $k = 0, \dots, m - 1$, and the
        logarithms are averaged.
    - `sample_weight`: the weights $w$, `(batch,)`, with which examples enter the sum. The values aren't multiplied with
        them; the class's mean is what does so.

    **Returns:**

    One value per example `(batch,)`, 0 for those to which nothing happened; [`treegy.losses.Cox`][] leaves these out of
    the mean. NaN where the second column is neither 0 nor 1, or a time is NaN. The sum is over the other examples of
    the batch, so values depend on how examples are cut into batches. In the dtype of `y_pred`, at least float32.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these. `ValueError` where `ties` is unknown.

    ??? cite

        Cox, *Regression Models and Life-Tables*, Journal of the Royal Statistical Society B 34 (1972). Efron, *The
        Efficiency of Cox's Likelihood Function for Censored Data*, JASA 72 (1977).
    """
    return _values(y_true, y_pred, ties, sample_weight)[0]


def _values(y_true: Array, y_pred: Array, ties: str, sample_weight: ArrayLike | None) -> tuple[Array, Array]:
    """Return the value of each example, and whether it has any."""
    ties = _as_ties(ties)
    it = survival(y_true, y_pred, 1, "the logarithm of a hazard for each example, (batch,)")
    z, event = it.predicted, it.event
    weight = jnp.ones_like(z)
    if sample_weight is not None:
        weight = weight * lined_up(jnp.asarray(sample_weight).astype(z.dtype), z, "sample_weight")
    present = weight > 0
    # What is added to the others is the logarithm of how much of each counts.
    entering = z + jnp.log(jnp.where(present, weight, 1))
    at_risk = (it.time[None] >= it.time[:, None]) & present[None]
    among = jnp.broadcast_to(entering[None], at_risk.shape)
    if ties == "efron":
        tied = (it.time[None] == it.time[:, None]) & (event & present)[None] & event[:, None]
        size = jnp.maximum(jnp.sum(tied, axis=1), 1).astype(z.dtype)
        before = jnp.sum(jnp.tril(tied, -1), axis=1).astype(z.dtype)
        among = among + jnp.where(tied, jnp.log1p(-before / size)[:, None], 0)
        each, _ = log_sum_exp(among, at_risk)
        logarithm = jnp.where(event, jnp.sum(jnp.where(tied, each[None], 0), axis=1) / size, each)
    else:
        logarithm, _ = log_sum_exp(among, at_risk)
    values = jnp.where(event & present, logarithm - z, 0)
    unknown = jnp.any(it.unknown & present)
    return jnp.where(unknown, jnp.nan, values), (event & present) | unknown


class Cox(Loss):
    r"""Cox's partial likelihood: [`treegy.losses.cox`][], of the examples to which it happened.

    The others of the batch are those to which it might have happened: batches are to be as large as can be, and the
    value of an epoch depends on how examples were cut into them. Weights are those of both.

    **Raises:** `ValueError` where `ties` is unknown.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true = jnp.array([[2.0, 1], [3.0, 0], [5.0, 1]])
        value = tg.losses.Cox()(y_true, jnp.array([1.0, 0.0, 0.0]))
        assert abs(value - (jnp.log(jnp.e + 2) - 1) / 2) < 1e-6
        ```
    """

    ties: str = eqx.field(default="efron", kw_only=True, static=True, converter=_as_ties)
    """`"efron"` or `"breslow"`: what is done about things that happen at the same time."""

    exempt_from: ClassVar[Mapping[str, str]] = {
        "batching": "to which of the others it might have happened depends on the batch",
        "repetition": "an example that is there twice happens at the same time as itself",
    }

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."], sample_weight: PyTree = None
    ) -> Masked:
        return Masked(*_values(y_true, y_pred, self.ties, sample_weight))
