"""`SurvivalAUC`: how well risks tell to whom it has happened by a time from those to whom it happens later."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from ...losses._survival import survival
from .._accumulators._value_of import ValueOf
from .._regression._pairs import Kept, kept
from ._censoring import AtTimes


class SurvivalAUC(AtTimes):
    r"""How well risks tell those to whom it has happened by a time $t$ from those to whom it happens later: the
    cumulative/dynamic AUC

    $$
    \frac{\sum_{i, j} [t_i \le t, \text{it happened}] [t_j > t] ([r_i > r_j] + \frac{1}{2} [r_i = r_j]) / G(t_i)}
    {\sum_{i, j} [t_i \le t, \text{it happened}] [t_j > t] / G(t_i)}
    $$

    where $G$ is how likely it is that something isn't censored yet. Of several `times` it is the mean, in which each
    counts by how much fewer survive it than the time before, by Kaplan and Meier's estimate from all examples. 0 at a
    time with nobody on one side.

    It can't be had from sums: examples are kept, up to `capacity` of them, and within it the metric value is exact for
    any batching. More make it NaN, never a metric value of some of them; those of weight 0 need no room. A pair counts
    as the product of its weights.

    **Accepts:** `y_true` `(batch, 2)`: the time, and 1 if it happened then, or 0 if it hadn't happened until then;
    risks `y_pred` `(batch,)`, larger where it happens sooner. Anything else than 0 and 1, and NaN, makes it NaN, as
    does an event by the last of the times where $G$ is 0 or isn't known.

    **Raises:** `TypeError` or `ValueError` where `times` don't increase, `censoring` isn't a
    [`treegy.metrics.Censoring`][], or `capacity` is less than 1. [`treegy.ContractError`][] where the shapes aren't
    these, and where a batch has more examples than there is room for and no weights that could take any out.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true = jnp.array([[1.0, 1], [2.0, 1], [4.0, 1], [5.0, 1]])
        auc = tg.metrics.SurvivalAUC(3.0, censoring=tg.metrics.Censoring(y_true), capacity=8)
        assert abs(float(auc(y_true, jnp.array([0.9, 0.5, 0.6, 0.1]))) - 3 / 4) < 1e-6
        ```

    ??? cite

        Hung and Chiang, *Estimation Methods for Time-Dependent AUC Models with Survival Data*, Canadian Journal of
        Statistics 38 (2010).
    """

    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of examples to make room for", least=1),
    )
    """How many examples there is room for."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        it = survival(y_true, y_pred, 1, "a risk for each example, (batch,)")
        event = jnp.where(it.unknown, jnp.nan, it.event.astype(it.time.dtype))
        needed = it.event & (it.time <= self.times[-1])
        seen = jnp.where(needed, self.censoring(it.time).astype(it.time.dtype), 1)
        seen = jnp.where(seen == 0, jnp.nan, seen)
        pairs = kept(
            jnp.stack([it.time, event], axis=1),
            jnp.stack([it.predicted, seen], axis=1),
            sample_weight,
            capacity=self.capacity,
        )
        return ValueOf(pairs, _area, times=self.times, by_time=self.by_time)


def _area(pairs: Kept, times: tuple[float, ...], by_time: bool) -> Float[Array, "..."]:
    (time, event), (risk, seen), weight = pairs.y_true.T, pairs.y_pred.T, pairs.weight[:, 0]
    at = jnp.asarray(times, time.dtype)
    order = jnp.argsort(risk)
    ordered = risk[order]
    first, last = (jnp.searchsorted(ordered, risk, side=side) for side in ("left", "right"))

    def of_time(t: Array) -> Array:
        cases = jnp.where((time <= t) & (event == 1), weight / jnp.where(weight == 0, 1, seen), 0)
        later = jnp.where(time > t, weight, 0)
        below = jnp.concatenate([jnp.zeros_like(later[:1]), jnp.cumsum(later[order])])
        return safe_divide(jnp.sum(cases * (below[first] + below[last])) / 2, jnp.sum(cases) * below[-1])

    values = jax.vmap(of_time)(at)
    if not by_time:
        lost = -jnp.diff(_surviving(time, event, weight, at), prepend=1)
        values = safe_divide(jnp.sum(values * lost), jnp.sum(lost)) if len(times) > 1 else values[0]
    unordered = jnp.isnan(pairs.y_true) | jnp.isnan(pairs.y_pred)
    return jnp.where(pairs.full | jnp.any(jnp.any(unordered, axis=1) & (weight != 0)), jnp.nan, values)


def _surviving(time: Array, event: Array, weight: Array, at: Array) -> Array:
    """Return Kaplan and Meier's estimate of survival at some times."""
    time = jnp.where(weight == 0, jnp.inf, time)
    # Of equal times, what happens is before what is censored.
    order = jnp.lexsort((event == 0, time))
    weight, event = weight[order], event[order]
    at_risk = jnp.cumsum(weight[::-1])[::-1]
    factors = jnp.where((event == 1) & (weight != 0), safe_divide(at_risk - weight, at_risk), 1)
    survived = jnp.concatenate([jnp.ones_like(factors[:1]), jnp.cumprod(factors)])
    return survived[jnp.searchsorted(time[order], at, side="right")]
