"""How uncertain a metric is, by the bootstrap."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._converters import integer
from ..._describe import describe
from ..._injection._inject import Request
from ..._terms._accumulator import Accumulator
from ..._terms._naming import default_name
from ..._terms._term import Context
from ..._terms._weights import as_summand
from ..._types import PyTree
from .._accumulators._stacked import Stacked
from ._wrapper import Wrapper, check_weighs, reweighted

# P(X <= k) of a Poisson variable of mean 1, as far as a float32 tells them from 1.
_CUMULATIVE = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(10)]).astype("float32")


class Replicates(Accumulator):
    """Accumulators of resampled examples, of whose metric values mean, spread and quantiles are shown."""

    replicates: Stacked
    quantiles: tuple[float, ...] = eqx.field(static=True)

    def empty(self) -> "Replicates":
        return Replicates(self.replicates.empty(), self.quantiles)

    def merge(self, other: "Replicates") -> "Replicates":
        return Replicates(self.replicates.merge(other.replicates), self.quantiles)

    def compute(self) -> PyTree:
        return jax.tree.map(self._summary, self.replicates.compute())

    def _summary(self, metric_values: PyTree) -> OrderedDict[str, Array]:
        metric_values = as_summand(metric_values)
        found = OrderedDict(mean=jnp.mean(metric_values, axis=0), std=jnp.std(metric_values, axis=0, ddof=1))
        for quantile in self.quantiles:
            found[f"q{quantile}"] = jnp.quantile(metric_values, jnp.asarray(quantile, metric_values.dtype), axis=0)
        return found


def as_quantiles(quantiles: Any) -> Any:
    """A tuple of Python numbers; what isn't numbers stays, to be refused by name."""
    if isinstance(quantiles, np.ndarray | np.number):
        quantiles = quantiles.tolist()
    if isinstance(quantiles, int | float):
        return (quantiles,)
    return tuple(quantiles) if isinstance(quantiles, Sequence) and not isinstance(quantiles, str) else quantiles


class Bootstrap(Wrapper):
    r"""How uncertain a metric is: its mean, standard deviation and quantiles over resampled data.

    Data is resampled `n` times by giving each example a weight drawn from the Poisson distribution of mean 1, times the
    weight that it has: in the limit of many examples this is drawing as many with replacement, and it can be done batch
    by batch. The parts are logged under the name of the metric, as `accuracy_bootstrap/mean` and so on:

    - `mean`: the mean over the resampled data; not quite the metric itself, to which it is good to compare it;
    - `std`: the standard deviation (with $n - 1$), which estimates the standard error of the metric;
    - `q0.025`, `q0.975`: a quantile for each of `quantiles`; these two bound the 95% percentile interval.

    Draws depend on the `key` of the step, so they come from the model's seed: they are the same in each run with the
    same batches, but others if the data is cut otherwise. Standing alone, pass a `key`, another for each batch. The
    metric is computed `n` times, by one `jax.vmap`. Any will do that is about examples and understands weights.

    **Raises:** `TypeError` where `metric` isn't a metric, `ValueError` where it isn't about examples, `n` is less than
    2 or a quantile isn't from 0 to 1.

    ??? cite

        Chamandy, Muralidharan, Najmi and Naidu, *Estimating Uncertainty for Massive Data Streams*, Google (2012).

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        uncertain = tg.metrics.Bootstrap(tg.metrics.Mean(), n=200, quantiles=(0.025, 0.975))
        values = jax.random.normal(jax.random.key(0), (1000,))
        metric_values = uncertain(values, key=jax.random.key(1)).compute()
        assert list(metric_values) == ["mean", "std", "q0.025", "q0.975"]
        assert 0.8 < metric_values["std"] * 1000**0.5 < 1.2
        ```
    """

    # Static, as it is a shape.
    n: int = eqx.field(
        default=100, kw_only=True, static=True, converter=integer("n", "how often data is resampled", least=2)
    )
    """How often data is resampled."""
    # Static, since metric values are named after them.
    quantiles: Any = eqx.field(default=(0.025, 0.975), kw_only=True, static=True, converter=as_quantiles)
    """The quantiles that are shown: a number from 0 to 1, or several; none with `()`."""

    exempt_from: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("batching", "repetition", "absence"), "What is drawn for an example depends on its place in its batch."
    )

    def __check_init__(self) -> None:
        for quantile in self.quantiles if isinstance(self.quantiles, tuple) else (self.quantiles,):
            if not isinstance(quantile, int | float):
                raise TypeError(f"`quantiles` are numbers from 0 to 1, and got {describe(quantile)}.")
            if not 0 <= quantile <= 1:
                raise ValueError(f"`quantiles` are numbers from 0 to 1, and got {describe(quantile)}.")
        check_weighs("Bootstrap", self.metric)

    def _wrapped_name(self) -> str:
        return f"{default_name('metric', self.metric)}_bootstrap"

    def _asked(self) -> Request:
        return Request(("key",), frozenset(("key",)), ())

    def _over(self, context: Context) -> dict[str, Accumulator]:
        own, inner = jax.random.split(context.available["key"])
        context = context._replace(available={**context.available, "key": inner})
        term, draws = self._term(), poisson(own, (self.n, context.size))
        found = jax.vmap(lambda factor: reweighted(term, context, factor))(draws)
        return {name: Replicates(Stacked(one), self.quantiles) for name, one in found.items()}


def poisson(key: Array, shape: tuple[int, ...]) -> Array:
    """Draws from the Poisson distribution of mean 1, by inversion: a loop of rejections would wait for the slowest."""
    uniform = jax.random.uniform(key, shape, jnp.float32)
    return jnp.searchsorted(jnp.asarray(_CUMULATIVE), uniform, side="right").astype(jnp.float32)
