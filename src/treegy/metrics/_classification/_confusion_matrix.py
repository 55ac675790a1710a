"""How often each class was predicted, by label."""

from typing import ClassVar, Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._converters import OneOf, flag, integer
from ..._terms._accumulator import Sum, safe_divide
from .._accumulators._counting import element_weights, histogram, spoiled, weighted_at_all
from .._accumulators._shared import Derived, Source, source
from .._accumulators._value_of import ValueOf
from ._class_indices import Indices, class_indices


def confusion_matrix(
    indices: Indices, sample_weight: Array | None, *, ignore_class: int | None, check_bounds: bool
) -> Sum:
    """Return the confusion matrix of a batch: labels are rows, predictions are columns.

    **Arguments:**

    - `indices`: labels and predictions.
    - `sample_weight`: lines up with the leading axes of the labels.
    - `ignore_class`: a label that says that there is none; such examples don't count.
    - `check_bounds`: whether any other label, or a prediction, that isn't a class makes the matrix NaN. If not, such
        examples don't count.

    **Raises:** [`treegy.ContractError`][] where the weights don't line up.
    """
    y_true, y_pred, classes = indices
    weights = element_weights(sample_weight, y_true)
    inside = (y_true >= 0) & (y_true < classes) & (y_pred >= 0) & (y_pred < classes)
    ignored = jnp.zeros(y_true.shape, bool) if ignore_class is None else y_true == ignore_class
    # What isn't counted is sent where there is no bin.
    bins = jnp.where(inside & ~ignored, y_true.astype(jnp.int32) * classes + y_pred.astype(jnp.int32), classes**2)
    invalid = jnp.any(weighted_at_all(~inside & ~ignored, weights)) if check_bounds else jnp.asarray(False)
    return spoiled(histogram(bins, (classes, classes), weights), invalid)


def matrix_of(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    num_classes: int | None,
    threshold: ArrayLike | None,
    ignore_class: int | None,
    check_bounds: bool,
) -> Sum:
    """Return the confusion matrix of labels and predictions in the form that their shapes and dtypes say."""
    indices = class_indices(y_true, y_pred, num_classes=num_classes, threshold=threshold)
    return confusion_matrix(indices, sample_weight, ignore_class=ignore_class, check_bounds=check_bounds)


def matrix_at(
    y_pred: Array,
    *,
    num_classes: int | None,
    threshold: ArrayLike | None = None,
    ignore_class: int | None,
    check_bounds: bool,
) -> Source:
    """Return the confusion matrix as what metrics accumulate."""
    if threshold is None and jnp.issubdtype(y_pred.dtype, jnp.floating) and y_pred.shape[-1:] == (num_classes,):
        num_classes = None  # which the shape says, too
    return source(
        matrix_of,
        num_classes=num_classes,
        threshold=threshold,
        ignore_class=ignore_class,
        check_bounds=check_bounds,
    )


class OfConfusionMatrix(Derived):
    """A metric value of a confusion matrix."""

    predictions: ClassVar[str | None] = "scores"

    num_classes: int | None = eqx.field(
        default=None,
        static=True,
        converter=integer("num_classes", "how many classes there are", least=2, optional=True),
    )
    """How many classes there are. Needed where `y_pred` holds class indices, and known by its shape otherwise."""
    threshold: ArrayLike | None = eqx.field(default=None, kw_only=True)
    """For two classes that are predicted by one number: what is above it stands for class 1."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such examples don't count."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether any other label or prediction that isn't a class makes the metric value NaN. If not, it doesn't count."""

    def __check_init__(self) -> None:
        if self.threshold is not None:
            check_number("threshold", self.threshold, lambda t: t == t, "a number")
            if self.num_classes not in (None, 2):
                raise ValueError(f"`threshold` is about two classes, and `num_classes` is {self.num_classes}.")

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return matrix_at(
            y_pred,
            num_classes=self.num_classes,
            threshold=self.threshold,
            ignore_class=self.ignore_class,
            check_bounds=self.check_bounds,
        )


Normalize: TypeAlias = Literal["true", "pred", "all"] | None

_as_normalize = OneOf[Normalize]("normalize", "true", "pred", "all", None)


class ConfusionMatrix(OfConfusionMatrix):
    r"""How often each class was predicted, by label: $\sum w [y = i] [\hat y = j]$ in row $i$ and column $j$.

    `y_true` and `y_pred` come in one of these forms:

    - class indices `(batch, ...)` and scores `(batch, ..., classes)` of a floating dtype, of which the first largest is
        predicted: probabilities and logits give the same;
    - one-hot labels, or distributions, and scores, both `(batch, ..., classes)`;
    - class indices both, integers or booleans of the same shape, with `num_classes`;
    - 0 or 1, and numbers of the same shape, with a `threshold`.

    Counts are weighted, and exact however long the epoch. A label or prediction that isn't a class (or is NaN) can't be
    told while tracing: it makes the metric value NaN.

    **Raises:** `ValueError` where `num_classes` is less than 2, or isn't 2 where there is a `threshold`.
    [`treegy.ContractError`][] where the values have none of these forms, where `num_classes` isn't the number of
    scores, or where it is missing.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        matrix = tg.metrics.ConfusionMatrix()
        y_pred = jnp.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
        assert matrix(jnp.array([0, 0, 1]), y_pred).compute().tolist() == [[1, 1], [0, 1]]
        ```
    """

    normalize: Normalize = eqx.field(default=None, kw_only=True, static=True, converter=_as_normalize)
    """Counts by default; `"true"` divides them by the sum of their row, `"pred"` by that of their column, and `"all"`
    by that of the matrix."""

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _normalized, by=self.normalize)


def _normalized(matrix: Float[Array, "classes classes"], by: Normalize) -> Float[Array, "classes classes"]:
    if by is None:
        return matrix
    axis = {"true": 1, "pred": 0, "all": None}[by]
    return safe_divide(matrix, jnp.broadcast_to(jnp.sum(matrix, axis=axis, keepdims=True), matrix.shape))
