"""The regions of classes in labels and predictions, and the options of metrics that compare them."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._converters import flag, integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._classes import check_classes_last
from ..._terms._elementwise import inner_axis
from ..._terms._metric import Metric
from .._classification._class_indices import Indices, class_indices
from .._classification._confusion_matrix import confusion_matrix


class Overlaps(NamedTuple):
    """How large the regions of classes are, `(..., classes)`. NaN where a label or prediction is no class."""

    both: Float[Array, "..."]
    """Of what is there and predicted."""
    labels: Float[Array, "..."]
    predictions: Float[Array, "..."]


class OfRegions(Metric):
    """A metric of the regions of classes."""

    predictions: ClassVar[str | None] = "scores"

    num_classes: int | None = eqx.field(
        default=None,
        static=True,
        converter=integer("num_classes", "how many classes there are", least=2, optional=True),
    )
    """How many classes there are. Needed where `y_pred` holds class indices, and known by its shape otherwise."""
    threshold: ArrayLike | None = eqx.field(default=None, kw_only=True)
    """For two classes that are predicted by one number: what is above it stands for class 1."""
    include_background: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("include_background"))
    """Whether class 0 is one of those whose regions are compared."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes in scores, and in labels of the same shape; 1 if they come first."""

    def __check_init__(self) -> None:
        if self.threshold is not None:
            check_number("threshold", self.threshold, lambda t: t == t, "a number")
            if self.num_classes not in (None, 2):
                raise ValueError(f"`threshold` is about two classes, and `num_classes` is {self.num_classes}.")

    def _indices(self, y_true: Array, y_pred: Array) -> Indices:
        """Return class indices `(batch, ...)` of pixels."""
        if self.threshold is None and jnp.issubdtype(y_pred.dtype, jnp.floating):
            front = inner_axis(y_pred, self.axis, "classes")
            check_classes_last(y_true, y_pred, self.axis)
            # One-hot labels of lines of pixels have no more axes than masks have, which are meant then.
            if y_true.shape == y_pred.shape and y_pred.ndim < 4:
                raise ContractError(
                    f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} look like masks and their "
                    "probabilities: pass `threshold=0.5`. One-hot labels have an axis more, that of the classes."
                )
            if y_true.ndim == y_pred.ndim:
                y_true = jnp.moveaxis(y_true, front, -1)
            y_pred = jnp.moveaxis(y_pred, front, -1)
        found = class_indices(y_true, y_pred, num_classes=self.num_classes, threshold=self.threshold)
        if found.y_pred.ndim < 2:
            raise ContractError(
                f"`y_pred` {array_name(y_pred)} has no axis of pixels: a region has several, and class indices like "
                "(batch, height, width), or scores of the classes of these, are expected."
            )
        return found

    def _kept(self, of_classes: Array, axis: int = -1) -> Array:
        """Return values of the classes whose regions are compared."""
        if self.include_background:
            return of_classes
        return jax.lax.slice_in_dim(of_classes, 1, None, axis=axis)


def overlaps_of_examples(indices: Indices, weights: Array | None, ignore_class: int | None) -> Overlaps:
    """Return how much regions overlap in each example, `(batch, classes)`.

    **Arguments:**

    - `weights`: of pixels, of the shape of the indices.
    - `ignore_class`: a label that says that there is none: such pixels don't count.
    """

    def of_example(y_true: Array, y_pred: Array, weights: Array | None) -> Array:
        one = Indices(y_true, y_pred, indices.num_classes)
        return confusion_matrix(one, weights, ignore_class=ignore_class, check_bounds=True).compute()

    return overlaps(jax.vmap(of_example)(indices.y_true, indices.y_pred, weights))


def overlaps(matrix: Float[Array, "... classes classes"]) -> Overlaps:
    """Return how much regions overlap, of confusion matrices."""
    both = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    return Overlaps(both, jnp.sum(matrix, axis=-1), jnp.sum(matrix, axis=-2))
