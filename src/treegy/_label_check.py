"""Checking that each label has a class weight, before anything is computed with it."""

import functools
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from ._class_weight import Labelled, label_check, noted_labels
from ._describe import is_traced
from ._driver import Examples, test, train
from ._flat import Frozen, Shapes, join, split
from .data._source import Source


def check_labels(model: Any, kind: str, first: Examples, source: Source | None = None) -> None:
    """Check the labels of a batch, or all that a source gives: now, or when they come.

    What labels are depends on the shapes of the predictions, so a step is traced for that, without computing.

    **Arguments:**

    - `model`: has been prepared for steps of this kind, `train` or `test`.
    - `first`: a batch, with the tables of class weights.

    **Raises:** [`treegy.DataError`][] for a label that has no weight.
    """
    if first.class_weight is None or is_traced((model, first)):
        return
    arrays, frozen = split(model)
    shapes = Shapes((arrays, first))
    try:
        found = labelled(kind, frozen, shapes)
    finally:
        shapes.forget()
    check = label_check(found, first.class_weight)
    if source is None:
        check(first.y_true, first.sample_weight)
    else:
        source.check_labels(check)


@functools.lru_cache(maxsize=64)
def labelled(kind: str, frozen: Frozen, shapes: Shapes) -> list[Labelled]:
    arrays, first = shapes.values

    def step(arrays: Any, first: Examples) -> Any:
        model = join(arrays, frozen)
        return train(model, first)[1] if kind == "train" else test(model, first, jnp.zeros((), jnp.int32))[1]

    with noted_labels() as found:
        try:
            eqx.filter_eval_shape(step, arrays, first)
        except Exception:  # The step itself will raise it, and say where.
            return []
    return found
