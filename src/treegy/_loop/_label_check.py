"""Checking that each label has a class weight, before anything is computed with it."""

from .._data._batch import Batch
from .._data._source import Source
from .._describe import is_traced
from .._steps._hashable import hashable_partition
from .._steps._model_like import ModelLike
from .._steps._stacks import first_of
from .._terms._class_weight import Labelled, label_check
from ._kinds import Kind


def check_labels(kind: Kind, model: ModelLike, first: Batch, source: Source | None = None) -> None:
    """Check the labels of a batch, or all that a source gives: now, or when they come.

    What labels are depends on the shapes of the predictions, and is found where a step is traced for other reasons.

    **Arguments:**

    - `kind`: `TRAIN` or `TEST`.
    - `model`: has been prepared for such steps.
    - `first`: a batch, with the tables of class weights.

    **Raises:** [`treegy.DataError`][] for a label that has no weight.
    """
    if is_traced((model, first)) or model.run_eagerly:
        return
    check = label_check(_labelled(kind, model, first), first.class_weight)
    if source is None:
        check(first.y_true, first.sample_weight)
    else:
        source.check_labels(check)


def _labelled(kind: Kind, model: ModelLike, first: Batch) -> list[Labelled]:
    arrays, frozen = hashable_partition(first_of(model))
    try:
        return kind.traced(frozen, arrays, first).labelled
    except Exception:  # The step itself will raise it, and say where.
        return []
