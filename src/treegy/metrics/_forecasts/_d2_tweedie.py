"""How much of the deviance of the labels is explained."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._terms._accumulator import Accumulator, Sum, safe_divide
from ..._terms._elementwise import matched
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from ...losses._bounded import bounded
from ...losses._tweedie_deviance import as_power, tweedie_values
from ...losses._unit_deviance import unit_deviance


class Deviances(Accumulator):
    r"""Deviances of labels from predictions, and from the mean of all labels.

    Those from a mean merge as variances do: the deviance from another number is that from their own mean, and that of
    the mean from this number, $\sum_i w_i d(y_i, \mu) = \sum_i w_i d(y_i, \bar y) + d(\bar y, \mu) \sum_i w_i$, which
    holds of all Bregman divergences.

    ??? cite

        Banerjee et al., *Clustering with Bregman Divergences*, JMLR 6 (2005).
    """

    weight: Sum
    mean: Sum
    """Of the labels."""
    varying: Sum
    """The deviance of the labels from their mean."""
    unexplained: Sum
    """The deviance of the labels from the predictions."""
    power: float = eqx.field(static=True)

    @staticmethod
    def of(y_true: Array, y_pred: Array, sample_weight: Array | None, power: float) -> "Deviances":
        unexplained = jnp.sum(weigh(tweedie_values(y_true, y_pred, power), sample_weight)[0])
        weighted, weights, _ = weigh(y_true, sample_weight)
        total = jnp.sum(weights)
        mean = safe_divide(jnp.sum(weighted), total)
        varying = jnp.sum(weigh(_from(y_true, mean, power), sample_weight)[0])
        return Deviances(Sum(total), Sum(mean), Sum(varying), Sum(unexplained), power)

    def empty(self) -> "Deviances":
        weight, mean = self.weight.empty(), self.mean.empty()
        return Deviances(weight, mean, self.varying.empty(), self.unexplained.empty(), self.power)

    def merge(self, other: "Deviances") -> "Deviances":
        weight = self.weight.merge(other.weight)
        share = safe_divide(other.weight.compute(), weight.compute())
        mine, theirs = self.mean.compute(), other.mean.compute()
        mean = self.mean.times(1 - share).merge(other.mean.times(share))
        # What has no weight has no mean, from which nothing deviates.
        between = [
            Sum(jnp.where(of.weight.compute() == 0, 0, of.weight.compute() * _from(own, mean.compute(), self.power)))
            for of, own in ((self, mine), (other, theirs))
        ]
        varying = self.varying.merge(other.varying).merge(between[0]).merge(between[1])
        return Deviances(weight, mean, varying, self.unexplained.merge(other.unexplained), self.power)

    def compute(self) -> Array:
        varying, unexplained = self.varying.compute(), self.unexplained.compute()
        constant = jnp.where((unexplained == 0) & (self.weight.compute() > 0), 1, 0).astype(varying.dtype)
        return jnp.where(varying == 0, constant, 1 - safe_divide(unexplained, varying))


def _from(values: Array, mean: Array, power: float) -> Array:
    """Return the deviance of each of `values` from their mean; 0 where all are 0."""
    positive = mean if power == 0 else bounded(mean, jnp.finfo(mean.dtype).tiny)
    deviances = unit_deviance(values, jnp.broadcast_to(positive, values.shape), power)
    return jnp.where(values == mean, jnp.zeros_like(deviances), deviances)


class D2Tweedie(Metric):
    r"""How much of the deviance of the labels is explained, $D^2 = 1 - \sum_i w_i d(y_i, \hat y_i) / \sum_i w_i
    d(y_i, \bar y)$ with the deviances of [`treegy.losses.tweedie_deviance`][].

    It is to a deviance what [`treegy.metrics.R2Score`][] is to the squared error, which is the deviance with a power of
    0. Of labels that don't vary it is 1 if they are predicted exactly, else 0; of no examples, 0. It is that of the
    whole data in whatever batches this comes.

    `y_true` and `y_pred` are numbers of the same shape `(batch, ...)`, all of them one output; weights are `(batch,)`,
    or of that shape. Predictions count as in the deviance: those below $10^{-7}$ as $10^{-7}$.

    **Raises:** `ValueError` where `power` is between 0 and 1. [`treegy.ContractError`][] where the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.D2Tweedie(power=2)
        y_true, y_pred = jnp.array([0.5, 1.0, 2.5, 7.0]), jnp.array([1.0, 1.0, 5.0, 3.5])
        assert abs(float(score(y_true, y_pred)) - 0.630784) < 1e-5
        ```
    """

    predictions: ClassVar[str | None] = "rates"

    # Static, since the formula depends on it.
    power: float = eqx.field(static=True, converter=as_power)
    """The power of the mean that the variance is: 0 or less, or 1 or more."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Deviances:
        y_true, y_pred = matched(y_true, y_pred)
        return Deviances.of(y_true, y_pred, sample_weight, self.power)
