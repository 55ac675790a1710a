"""How many examples each class and each cluster have in common: what all metrics of partitions are made of."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import flag, integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Sum
from ..._terms._elementwise import check_same_shape
from .._accumulators._counting import element_weights, histogram, spoiled, weighted_at_all
from .._accumulators._shared import Derived, Source, source
from .._classification._class_indices import as_indices, scored_class


def contingency(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    num_classes: int,
    num_clusters: int,
    ignore_class: int | None,
    check_bounds: bool,
) -> Sum:
    """Return the table of a batch: classes are rows, clusters are columns.

    **Raises:** [`treegy.ContractError`][] where labels and clusters don't fit each other, or the weights don't line up.
    """
    classes = as_indices(y_true, "y_true")
    clusters = _clusters(y_true, y_pred, num_clusters)
    weights = element_weights(sample_weight, classes)
    inside = (classes >= 0) & (classes < num_classes) & (clusters >= 0) & (clusters < num_clusters)
    ignored = jnp.zeros(classes.shape, bool) if ignore_class is None else classes == ignore_class
    # What isn't counted is sent where there is no bin.
    bins = classes.astype(jnp.int32) * num_clusters + clusters.astype(jnp.int32)
    bins = jnp.where(inside & ~ignored, bins, num_classes * num_clusters)
    invalid = jnp.any(weighted_at_all(~inside & ~ignored, weights)) if check_bounds else jnp.asarray(False)
    return spoiled(histogram(bins, (num_classes, num_clusters), weights), invalid)


def _clusters(y_true: Array, y_pred: Array, num_clusters: int) -> Array:
    if not jnp.issubdtype(y_pred.dtype, jnp.floating):
        check_same_shape(y_true, y_pred)
        return as_indices(y_pred, "y_pred")
    if y_pred.shape != (*y_true.shape, num_clusters):
        expected = ", ".join(map(str, (*y_true.shape, num_clusters)))
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} must hold a score of each of {num_clusters} clusters for `y_true` "
            f"{array_name(y_true)}, of the shape ({expected}); or cluster indices, of an integer dtype."
        )
    return scored_class(y_pred, -1)


class OfContingency(Derived):
    """A metric value of a contingency table."""

    predictions: ClassVar[str | None] = None

    num_classes: int = eqx.field(static=True, converter=integer("num_classes", "how many classes there are", least=1))
    """How many classes there are: `y_true` is from 0 to `num_classes - 1`."""
    num_clusters: int | None = eqx.field(
        default=None,
        static=True,
        converter=integer("num_clusters", "how many clusters there are", least=1, optional=True),
    )
    """How many clusters there are; as many as classes by default."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such examples don't count."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether any other label or cluster that is out of range makes the metric value NaN. If not, it doesn't count."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return source(
            contingency,
            num_classes=self.num_classes,
            num_clusters=self.num_classes if self.num_clusters is None else self.num_clusters,
            ignore_class=self.ignore_class,
            check_bounds=self.check_bounds,
        )
