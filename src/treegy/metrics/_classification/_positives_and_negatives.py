"""How many predictions were right and wrong, by label."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array

from ..._terms._accumulator import Sum
from .._accumulators._shared import Derived, Source
from .._accumulators._value_of import ValueOf
from ._binary_counts import Counts, Thresholds, as_thresholds, check_thresholds, counts_at


class CountOf(Derived):
    """One of the four counts."""

    predictions: ClassVar[str | None] = "probabilities"

    thresholds: Thresholds | None = eqx.field(default=None, kw_only=True, converter=as_thresholds)
    """A number, 0.5 by default; or a list of them, for a vector of counts."""

    of: ClassVar[str]
    """Which count."""

    def __check_init__(self) -> None:
        check_thresholds(self.thresholds)

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return counts_at(self.thresholds)

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _count, of=self.of)


def _count(counts: Array, of: str) -> Array:
    return getattr(Counts(*counts), of)[..., 0]


class TruePositives(CountOf):
    r"""How many of the positive labels were predicted, $\sum w [y = 1] [\hat y > t]$.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`. A label that is neither 0 nor 1, or a
    prediction that is NaN, makes the count NaN. It stays exact beyond $2^{24}$, and is then shown as the
    nearest float.

    **Raises:** `ValueError` where a threshold isn't from 0 to 1. [`treegy.ContractError`][] where the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        count = tg.metrics.TruePositives(thresholds=[0.2, 0.6])
        assert count(jnp.array([0, 1, 1]), jnp.array([0.9, 0.5, 0.9])).compute().tolist() == [2, 1]
        ```
    """

    of: ClassVar[str] = "true_positives"


class TrueNegatives(CountOf):
    r"""How many of the negative labels were predicted, $\sum w [y = 0] [\hat y \le t]$.

    What it takes and raises is what [`treegy.metrics.TruePositives`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        count = tg.metrics.TrueNegatives()
        assert float(count(jnp.array([0, 0, 1]), jnp.array([0.5, 0.9, 0.9]))) == 1
        ```
    """

    of: ClassVar[str] = "true_negatives"


class FalsePositives(CountOf):
    r"""How many of the negative labels were predicted to be positive, $\sum w [y = 0] [\hat y > t]$.

    What it takes and raises is what [`treegy.metrics.TruePositives`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        count = tg.metrics.FalsePositives()
        assert float(count(jnp.array([0, 0, 1]), jnp.array([0.5, 0.9, 0.9]))) == 1
        ```
    """

    of: ClassVar[str] = "false_positives"


class FalseNegatives(CountOf):
    r"""How many of the positive labels were predicted to be negative, $\sum w [y = 1] [\hat y \le t]$.

    What it takes and raises is what [`treegy.metrics.TruePositives`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        count = tg.metrics.FalseNegatives()
        assert float(count(jnp.array([0, 1, 1]), jnp.array([0.5, 0.2, 0.9]))) == 1
        ```
    """

    of: ClassVar[str] = "false_negatives"
