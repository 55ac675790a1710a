"""`PermutationInvariant`: a metric of sources that are predicted in whatever order."""

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag
from ..._describe import describe
from ..._terms._metric import Metric
from ..._types import PyTree
from ...losses._permutation_invariant import of_best_order
from ._ratios import SISDR


class PermutationInvariant(Metric):
    """A metric of sources that are predicted in whatever order: the mean over sources of its values in the best order,
    and over examples.

    `y_true` and `y_pred` are `(batch, sources, ...)`, of the same shape, and the metric gets sources as its examples:
    one of those that are means of a value per example. All orders are tried of the values of all pairs, so that there
    are at most 8 sources. [`treegy.losses.best_order`][] says which order it is.

    **Raises:** `TypeError` where `metric` isn't a metric. [`treegy.ContractError`][] where the shapes differ, where
    there are more than 8 sources, or where the metric hasn't one value per example.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sources = jnp.array([[[1.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 3.0]]])
        error = tg.metrics.PermutationInvariant(tg.metrics.MeanSquaredError(), largest=False)
        assert float(error(sources, sources[:, ::-1])) == 0
        ```
    """

    metric: PyTree = eqx.field(default_factory=SISDR)
    """What compares a source with another one: a metric of `y_true` and `y_pred`."""
    largest: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("largest"))
    """Whether the largest values are best, as of ratios; or the least, as of errors."""

    def __check_init__(self) -> None:
        if not isinstance(self.metric, Metric):
            raise TypeError(f"`metric` is a metric, such as tg.metrics.SISDR(), and got {describe(self.metric)}.")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return of_best_order(self.metric.call, y_true, y_pred, self.largest)[0]
