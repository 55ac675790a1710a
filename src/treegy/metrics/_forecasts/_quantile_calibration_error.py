"""How far quantiles are from holding the share of labels that they should."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Num, Shaped

from ..._converters import OneOf
from ..._describe import array_name, is_arraylike
from ..._errors import ContractError
from ..._terms._accumulator import Accumulator, Mean
from ..._terms._elementwise import in_floats, laid_along
from ..._terms._metric import Metric
from ..._terms._weights import weigh
from ..._types import PyTree
from ...losses._quantile import Quantiles, as_quantiles, check_quantiles
from ...losses._several import several

Norm: TypeAlias = Literal["l1", "l2", "max"]

_as_norm = OneOf[Norm]("norm", "l1", "l2", "max")


class Shares(Accumulator):
    """The share of labels that aren't above each quantile, and the share that should be."""

    shares: Mean
    """`(quantiles,)`"""
    wanted: Array
    norm: Norm = eqx.field(static=True)

    def empty(self) -> "Shares":
        return Shares(self.shares.empty(), jnp.zeros_like(self.wanted), self.norm)

    def merge(self, other: "Shares") -> "Shares":
        # One made of shapes alone has 0 in place of what is wanted.
        return Shares(self.shares.merge(other.shares), jnp.maximum(self.wanted, other.wanted), self.norm)

    def compute(self) -> Array:
        gaps = jnp.abs(self.shares.compute() - self.wanted)
        gaps = jnp.where(self.shares.count + self.shares.rest[1] == 0, jnp.zeros_like(gaps), gaps)
        if self.norm == "max":
            return jnp.max(gaps)
        return jnp.mean(gaps) if self.norm == "l1" else jnp.sqrt(jnp.mean(gaps**2))


class QuantileCalibrationError(Metric):
    r"""How far quantiles are from holding the share of labels that they should: the expected calibration error of
    regression, $\frac{1}{K}\sum_k |f_k - q_k|$ with the share $f_k$ of labels that aren't above the prediction of the
    quantile $q_k$; with the norm `"l2"` $\sqrt{\frac{1}{K}\sum_k (f_k - q_k)^2}$, and `"max"` $\max_k |f_k - q_k|$.

    The shares are those of the whole data. 0 without examples; what is NaN shows.

    `y_true` holds real numbers `(batch, ...)`. `y_pred` holds the quantiles, `(batch, ..., quantiles)`; or it is
    `(mean, variance)` of normal distributions, each of the shape of `y_true`, whose quantiles are looked at.

    **Raises:** `ValueError` where one of `q` isn't between 0 and 1, there is none, or `norm` is unknown.
    [`treegy.ContractError`][] where the shapes aren't these.

    ??? cite

        Kuleshov, Fenner and Ermon, *Accurate Uncertainties for Deep Learning Using Calibrated Regression*, ICML 2018.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.QuantileCalibrationError(q=[0.25, 0.75])
        y_true, y_pred = jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([[1.0, 2.0]] * 4)
        assert float(error(y_true, y_pred)) == 0.125
        ```
    """

    q: Quantiles = eqx.field(converter=as_quantiles)
    """The quantiles, each between 0 and 1: one for each component of the last axis of `y_pred`, if that holds them."""
    norm: Norm = eqx.field(default="l1", kw_only=True, static=True, converter=_as_norm)
    """`"l1"`, `"l2"` or `"max"`."""

    def __check_init__(self) -> None:
        check_quantiles(self.q, several=True)

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: PyTree,
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Shares:
        labels, quantiles, q = _quantiles(y_true, y_pred, self.q)
        below = (labels[..., None] <= quantiles).astype(quantiles.dtype)
        unknown = jnp.isnan(labels)[..., None] | jnp.isnan(quantiles)
        below = jnp.where(unknown, jnp.full_like(below, jnp.nan), below)
        weighted, weights, _ = weigh(below, sample_weight)
        axes = tuple(range(below.ndim - 1))
        return Shares(Mean(jnp.sum(weighted, axis=axes), jnp.sum(weights, axis=axes)), q, self.norm)


def _quantiles(y_true: Array, y_pred: PyTree, q: Quantiles) -> tuple[Array, Array, Array]:
    """Return labels, quantiles with an axis more, and which quantiles they are."""
    if not is_arraylike(y_pred):
        mean, variance, labels = several(y_pred, ("mean", "variance"), y_true=y_true)
        q = jnp.asarray(q, labels.dtype)
        # A negative variance has no root, which shows.
        deviations = jnp.sqrt(variance)[..., None] * laid_along(ndtri(q), labels.ndim, labels.ndim + 1)
        return labels, mean[..., None] + deviations, q
    predicted: Array = y_pred
    labels, predicted = in_floats(y_true, predicted)
    q = jnp.asarray(q, predicted.dtype)
    if predicted.shape != (*y_true.shape, q.size):
        expected = ", ".join(map(str, (*y_true.shape, q.size)))
        raise ContractError(
            f"`y_pred` is {array_name(predicted)}, and for {q.size} quantiles of `y_true` {array_name(y_true)} the "
            f"shape ({expected}) is expected: one more axis at the end."
        )
    return labels, predicted, q
