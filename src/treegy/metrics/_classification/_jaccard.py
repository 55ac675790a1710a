"""How much labels and predictions of a class overlap."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import Sum
from .._accumulators._value_of import ValueOf
from ._averages import Average, as_average, as_zero_division, ratio
from ._confusion_matrix import OfConfusionMatrix


class Jaccard(OfConfusionMatrix):
    r"""How much labels and predictions of a class overlap, $C_{ii} / (\sum_j C_{ij} + \sum_j C_{ji} - C_{ii})$, on
    average over classes.

    [`treegy.metrics.MeanIoU`][] is the same but for classes that neither occur nor are predicted: there they are left
    out of the mean, and here they count as `zero_division`.

    With `ignore_class=`, the averages are over the other classes: examples that have that label don't count, and where
    it is a class, an example of another one that is predicted as it counts as missed there. Only `average=None` has a
    value of that class, too, as of a class without labels.

    What it takes and raises is what [`treegy.metrics.ConfusionMatrix`][] does; and a `ValueError` where `average` or
    `zero_division` is unknown.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        jaccard = tg.metrics.Jaccard(num_classes=2, average=None)
        assert jaccard(jnp.array([0, 0, 1, 1]), jnp.array([0, 0, 0, 0])).compute().tolist() == [0.5, 0]
        ```
    """

    average: Average = eqx.field(default="macro", kw_only=True, static=True, converter=as_average)
    """`"macro"` is the mean over classes, and `"weighted"` that weighted by how often each class is the label;
    `"micro"` counts all classes together; `None` gives a metric value of each class."""
    # Static, since it belongs to what is made of the counts.
    zero_division: float = eqx.field(default=0.0, kw_only=True, static=True, converter=as_zero_division)
    """What the overlap is of a class that neither occurs nor is predicted: 0, 1 or NaN, which means leave out."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(
            accumulated,
            _jaccard,
            average=self.average,
            zero_division=self.zero_division,
            ignore_class=self.ignore_class,
        )


def _jaccard(
    matrix: Float[Array, "classes classes"], average: Average, zero_division: float, ignore_class: int | None
) -> Float[Array, "..."]:
    both, labels, predictions = jnp.diagonal(matrix), jnp.sum(matrix, axis=1), jnp.sum(matrix, axis=0)
    either = labels + predictions - both
    if average is not None:
        # A class that is never a label would count as one of which nothing is found.
        kept = jnp.asarray([i for i in range(matrix.shape[0]) if i != ignore_class])
        both, either, labels = both[kept], either[kept], labels[kept]
    return ratio(both, either, labels, average, zero_division)
