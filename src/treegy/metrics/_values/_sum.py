"""The sum of any value."""

import equinox as eqx
import jax.numpy as jnp

from ..._terms._accumulator import Sum as Summed
from ..._terms._metric import Metric
from ..._terms._term import Asking
from ..._terms._weights import lined_up
from ..._types import PyTree
from .._accumulators._counting import sum_of_integers
from ._of import Of, accumulated, as_of, asking_weights_too, check_of_examples


class Sum(Metric):
    r"""The sum of any value over all examples and axes, $\sum_i w_i v_i$.

    Integers without weights are added up exactly; a sum beyond $2^{24}$ is shown as the nearest float.

    **Raises:** `ValueError` where `of` asks for none of `x`, `y_true`, `y_pred` and `sample_weight`: how often such
    a value were added would depend on how the examples are cut into batches.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        total = tg.metrics.Sum()
        assert float(total(jnp.array([1.0, 3.0, 5.0, 7.0]))) == 16
        assert float(total(jnp.array([1.0, 3.0, 5.0, 7.0]), sample_weight=jnp.array([1.0, 1.0, 0.0, 0.0]))) == 4
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True, converter=as_of("of"))
    """The name of a value, or a function that asks for values by name and returns one value per example."""

    def __check_init__(self) -> None:
        check_of_examples(self.of, "sum")

    def call(self, values: PyTree, sample_weight: PyTree = None) -> PyTree:
        """The sum of the values; a dict of them for a dict of values."""
        return accumulated(values, sample_weight, _sum_of)

    def _asking(self) -> Asking:
        return asking_weights_too(self.of, "Sum", self.call)


def _sum_of(values: PyTree, weight: PyTree, mask: PyTree) -> Summed:
    values = jnp.asarray(values)
    if weight is not None or not jnp.issubdtype(values.dtype, jnp.integer):
        return Summed.of(values, weight, mask)
    if mask is not None:
        values = jnp.where(lined_up(jnp.asarray(mask).astype(bool), values, "mask"), values, jnp.zeros_like(values))
    return sum_of_integers(values)
