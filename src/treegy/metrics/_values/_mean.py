"""The mean of any value."""

import equinox as eqx

from ..._terms._metric import Metric
from ..._terms._term import Asking
from ..._types import PyTree
from ._of import Of, as_of, asking


class Mean(Metric):
    """The mean of any value, over all its axes, respecting weights.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        mean = tg.metrics.Mean()
        some, more = mean(jnp.array([1.0, 3.0, 5.0, 7.0])), mean(jnp.array([4.0, 10.0]))
        assert (float(some), float(some.merge(more))) == (4, 5)

        bias = tg.metrics.Mean(of=lambda y_true, y_pred: y_pred - y_true, name="bias")
        assert float(bias(y_true=jnp.array([1.0, 2.0]), y_pred=jnp.array([2.0, 4.0]))) == 1.5
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True, converter=as_of("of"))
    """The name of a value, or a function that asks for values by name and returns one value per example."""

    def call(self, values: PyTree) -> PyTree:
        """The values as they are."""
        return values

    def _asking(self) -> Asking:
        return asking(self.of, "Mean")
