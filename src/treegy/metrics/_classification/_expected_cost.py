"""What wrong predictions cost on average."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._describe import array_name, describe
from ..._errors import ContractError
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._value_of import ValueOf
from ._confusion_matrix import OfConfusionMatrix

Costs = Sequence[Sequence[float]]


def _as_costs(costs: object) -> Costs:
    """Return nested tuples of Python floats."""
    try:
        matrix = np.asarray(costs, "float64")
    except (TypeError, ValueError):
        matrix = np.zeros(())
    if matrix.ndim != 2:
        raise TypeError(f"`costs` is a matrix of numbers, a row for each label, and got {describe(costs)}.")
    return tuple(tuple(float(cost) for cost in row) for row in matrix)


as_costs: Callable[[Costs | np.ndarray], Costs] = _as_costs


class ExpectedCost(OfConfusionMatrix):
    r"""What a prediction costs on average, $\sum_{ij} a_{ij} C_{ij} / \sum_{ij} C_{ij}$, where to predict the class $j$
    for the label $i$ costs $a_{ij}$.

    With costs of 1 but for a diagonal of 0 it is how often predictions are wrong. It is 0 where there are no examples.

    What it takes and raises is what [`treegy.metrics.ConfusionMatrix`][] does; and a `TypeError` where `costs` isn't a
    matrix of numbers, a `ValueError` where it isn't square or a cost is NaN, and a [`treegy.ContractError`][] where it
    is of another number of classes.

    ??? cite "Reference"

        Elkan, *The Foundations of Cost-Sensitive Learning*, 2001.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        # To miss an ill patient costs ten times as much as to examine a healthy one.
        cost = tg.metrics.ExpectedCost(costs=[[0, 1], [10, 0]], threshold=0.5)
        assert float(cost(jnp.array([0, 0, 1, 1]), jnp.array([0.2, 0.7, 0.4, 0.9]))) == 2.75
        ```
    """

    # Static, since they belong to what is made of the matrix.
    costs: Costs = eqx.field(kw_only=True, static=True, converter=as_costs)
    """The costs $a_{ij}$: a row for each label, a column for each prediction."""

    def __check_init__(self) -> None:
        if any(len(row) != len(self.costs) for row in self.costs):
            raise ValueError(
                f"`costs` has as many columns as rows, one for each class, and got {len(self.costs)} rows of "
                f"{len(self.costs[0])}."
            )
        if any(cost != cost for row in self.costs for cost in row):
            raise ValueError("`costs` is a matrix of numbers, and has NaN.")

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        matrix = accumulated.total
        if matrix.shape[0] != len(self.costs):
            raise ContractError(
                f"`costs` is of {len(self.costs)} classes, and the confusion matrix {array_name(matrix)} of "
                f"{matrix.shape[0]}."
            )
        return ValueOf(accumulated, _expected_cost, costs=self.costs)


def _expected_cost(matrix: Float[Array, "classes classes"], costs: tuple[tuple[float, ...], ...]) -> Float[Array, ""]:
    shares = safe_divide(matrix, jnp.broadcast_to(jnp.sum(matrix), matrix.shape))
    each = jnp.asarray(costs, matrix.dtype)
    # An infinite cost of what never happens is none.
    return jnp.sum(jnp.where(shares == 0, 0, shares * each))
