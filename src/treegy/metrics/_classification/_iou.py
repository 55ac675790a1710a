"""How much labels and predictions of classes overlap, as segmentation has it: intersection over union."""

import abc
import operator
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._checks import check_number
from ..._converters import flag, integer
from ..._describe import array_name, describe
from ..._errors import ContractError
from ..._terms._accumulator import Sum, safe_divide
from ..._terms._elementwise import check_same_shape
from .._accumulators._shared import Derived, Source, source
from .._accumulators._value_of import ValueOf
from ._class_indices import Indices, as_indices, check_width, indices_or_scores, labeled_class, scored_class
from ._confusion_matrix import confusion_matrix, matrix_at


def _mean_iou(matrix: Float[Array, "classes classes"], classes: tuple[int, ...] | None) -> Float[Array, ""]:
    both = jnp.diagonal(matrix)
    either = jnp.sum(matrix, axis=0) + jnp.sum(matrix, axis=1) - both
    if classes is not None:
        at = jnp.asarray(classes)
        both, either = both[at], either[at]
    occurring = jnp.sum(either != 0).astype(matrix.dtype)
    return safe_divide(jnp.sum(safe_divide(both, either)), occurring)


def _read(y_true: Array, y_pred: Array, *, sparse: tuple[bool, bool], num_classes: int, axis: int) -> Indices:
    for name, is_sparse, values in zip(("y_true", "y_pred"), sparse, (y_true, y_pred), strict=True):
        front = axis + values.ndim if axis < 0 else axis
        if not is_sparse and not 0 < front < values.ndim:
            raise ContractError(
                f"`{name}` {array_name(values)} has no axis of classes at `axis={axis}`, besides that of the batch."
            )
    if sparse[0]:
        labels = as_indices(y_true, "y_true", " For one-hot labels, pass `sparse_y_true=False`.")
    else:
        check_width(y_true, axis, num_classes, "y_true")
        labels = labeled_class(y_true, axis)
    if sparse[1]:
        predictions = as_indices(y_pred, "y_pred", " For scores of classes, pass `sparse_y_pred=False`.")
    else:
        check_width(y_pred, axis, num_classes, "y_pred")
        predictions = scored_class(y_pred, axis)
    check_same_shape(labels, predictions)
    return Indices(labels, predictions, num_classes)


def _as_classes(classes: object) -> Any:
    """Return a tuple of Python integers; what isn't a list of integers stays, to be refused by name."""
    if isinstance(classes, np.ndarray):
        classes = classes.tolist()
    if not isinstance(classes, Sequence) or isinstance(classes, str):
        return classes
    return tuple(operator.index(c) if isinstance(c, np.integer) else c for c in classes)


def _check_targets(classes: object, num_classes: int) -> None:
    expected = f"`target_class_ids` is a list of classes from 0 to {num_classes - 1}, at least one,"
    if not isinstance(classes, tuple):
        raise TypeError(f"{expected} and got {describe(classes)}.")
    if not classes or not all(type(c) is int and 0 <= c < num_classes for c in classes):
        raise ValueError(f"{expected} and got {describe(classes)}.")


def _matrix_of(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None,
    *,
    sparse: tuple[bool, bool],
    num_classes: int,
    axis: int,
    ignore_class: int | None,
    check_bounds: bool,
) -> Sum:
    indices = _read(y_true, y_pred, sparse=sparse, num_classes=num_classes, axis=axis)
    return confusion_matrix(indices, sample_weight, ignore_class=ignore_class, check_bounds=check_bounds)


class OfIndices(Derived):
    """The overlap of some classes, of labels and predictions in the form that is said."""

    predictions: ClassVar[str | None] = "indices"

    num_classes: int = eqx.field(static=True, converter=integer("num_classes", "how many classes there are", least=2))
    """How many classes there are."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such examples don't count."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes, where there is one."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether any other label or prediction that isn't a class makes the metric value NaN. If not, it doesn't count."""

    @abc.abstractmethod
    def _sparse(self) -> tuple[bool, bool]:
        """Whether labels, and whether predictions are class indices."""

    @abc.abstractmethod
    def _classes(self) -> tuple[int, ...] | None:
        """Return the classes that are looked at; None for all."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        sparse = self._sparse()
        classes, ignored, bounds = self.num_classes, self.ignore_class, self.check_bounds
        last = self.axis in (-1, y_pred.ndim - 1) and y_pred.shape[-1:] == (classes,)
        if sparse == indices_or_scores(y_true, y_pred) and (sparse == (True, True) or last):
            return matrix_at(y_pred, num_classes=classes, ignore_class=ignored, check_bounds=bounds)
        return source(
            _matrix_of, sparse=sparse, num_classes=classes, axis=self.axis, ignore_class=ignored, check_bounds=bounds
        )

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _mean_iou, classes=self._classes())


class IoU(OfIndices):
    r"""How much labels and predictions of some classes overlap: the mean of $TP / (TP + FP + FN)$ over them.

    Classes that neither occur nor are predicted are left out of the mean, which is 0 if there are no others.

    `y_true` and `y_pred` are class indices, integers of the same shape `(batch, ...)`. With `sparse_y_true=False`,
    `y_true` is one-hot, with one more axis; with `sparse_y_pred=False`, `y_pred` are scores. Counts are weighted, and
    exact however long the epoch. A label or prediction that isn't a class makes the metric value NaN.

    **Raises:** `ValueError` where `num_classes` is less than 2, or where a target isn't a class.
    [`treegy.ContractError`][] where shapes, dtypes or the number of classes don't fit.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        iou = tg.metrics.IoU(num_classes=2, target_class_ids=[0])
        assert abs(float(iou(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1]))) - 1 / 3) < 1e-6
        ```
    """

    target_class_ids: Sequence[int] = eqx.field(static=True, converter=_as_classes)
    """The classes that are looked at."""
    sparse_y_true: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("sparse_y_true"))
    """Whether `y_true` holds class indices, and is not one-hot."""
    sparse_y_pred: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("sparse_y_pred"))
    """Whether `y_pred` holds class indices, and not scores."""

    def __check_init__(self) -> None:
        _check_targets(self.target_class_ids, self.num_classes)

    def _sparse(self) -> tuple[bool, bool]:
        return self.sparse_y_true, self.sparse_y_pred

    def _classes(self) -> tuple[int, ...] | None:
        return tuple(self.target_class_ids)


class MeanIoU(OfIndices):
    """How much labels and predictions of a class overlap, on average over all classes: [`treegy.metrics.IoU`][] of all.

    What it takes and raises is what [`treegy.metrics.IoU`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        iou = tg.metrics.MeanIoU(num_classes=2)
        assert abs(float(iou(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1]))) - 1 / 3) < 1e-6
        ```
    """

    sparse_y_true: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("sparse_y_true"))
    """Whether `y_true` holds class indices, and is not one-hot."""
    sparse_y_pred: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("sparse_y_pred"))
    """Whether `y_pred` holds class indices, and not scores."""

    def _sparse(self) -> tuple[bool, bool]:
        return self.sparse_y_true, self.sparse_y_pred

    def _classes(self) -> tuple[int, ...] | None:
        return None


class OneHotIoU(OfIndices):
    """How much one-hot labels and scores of some classes overlap: [`treegy.metrics.IoU`][] with other defaults.

    What it takes and raises is what [`treegy.metrics.IoU`][] does with `sparse_y_true=False`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        iou = tg.metrics.OneHotIoU(num_classes=3, target_class_ids=[0, 2])
        y_true = jnp.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
        y_pred = jnp.array([[0.2, 0.3, 0.5], [0.1, 0.2, 0.7], [0.5, 0.3, 0.1], [0.1, 0.4, 0.5]])
        weights = jnp.array([0.1, 0.2, 0.3, 0.4])
        assert abs(float(iou(y_true, y_pred, sample_weight=weights)) - 1 / 14) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    target_class_ids: Sequence[int] = eqx.field(static=True, converter=_as_classes)
    """The classes that are looked at."""
    sparse_y_pred: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("sparse_y_pred"))
    """Whether `y_pred` holds class indices, and not scores."""

    def __check_init__(self) -> None:
        _check_targets(self.target_class_ids, self.num_classes)

    def _sparse(self) -> tuple[bool, bool]:
        return False, self.sparse_y_pred

    def _classes(self) -> tuple[int, ...] | None:
        return tuple(self.target_class_ids)


class OneHotMeanIoU(OfIndices):
    """How much one-hot labels and scores overlap, on average over all classes: [`treegy.metrics.OneHotIoU`][] of all.

    What it takes and raises is what [`treegy.metrics.IoU`][] does with `sparse_y_true=False`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        iou = tg.metrics.OneHotMeanIoU(num_classes=3)
        y_true = jnp.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
        y_pred = jnp.array([[0.2, 0.3, 0.5], [0.1, 0.2, 0.7], [0.5, 0.3, 0.1], [0.1, 0.4, 0.5]])
        weights = jnp.array([0.1, 0.2, 0.3, 0.4])
        assert abs(float(iou(y_true, y_pred, sample_weight=weights)) - 1 / 21) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    sparse_y_pred: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("sparse_y_pred"))
    """Whether `y_pred` holds class indices, and not scores."""

    def _sparse(self) -> tuple[bool, bool]:
        return False, self.sparse_y_pred

    def _classes(self) -> tuple[int, ...] | None:
        return None


class BinaryIoU(Derived):
    """How much labels and predictions overlap of two classes that are predicted by one number.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`; what is above the threshold is
    predicted as 1. The metric value is that of [`treegy.metrics.IoU`][] for classes 0 and 1.

    **Raises:** `ValueError` where a target is neither 0 nor 1. [`treegy.ContractError`][] where the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        iou = tg.metrics.BinaryIoU(threshold=0.3)
        assert abs(float(iou(jnp.array([0, 1, 0, 1]), jnp.array([0.1, 0.2, 0.4, 0.7]))) - 1 / 3) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    target_class_ids: Sequence[int] = eqx.field(default=(0, 1), static=True, converter=_as_classes)
    """The classes that are looked at."""
    threshold: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """Predictions above it stand for class 1."""

    def __check_init__(self) -> None:
        _check_targets(self.target_class_ids, 2)
        check_number("threshold", self.threshold, lambda t: t == t, "a number")

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return matrix_at(y_pred, num_classes=None, threshold=self.threshold, ignore_class=None, check_bounds=True)

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _mean_iou, classes=tuple(self.target_class_ids))
