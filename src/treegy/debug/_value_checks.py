"""What is doubtful about predictions and labels, by what they are meant to be."""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._describe import array_name, is_arraylike
from .._types import PyTree
from ._declared_predictions import Meant

# So many logits are seldom all from 0 to 1.
_SEVERAL = 8
# How far the sum of a distribution may be from 1: half precision is coarse.
_TOLERANCE = 0.02


class Seen(NamedTuple):
    """Predictions or labels, as they are looked at."""

    shown: str
    values: np.ndarray
    """In float64."""
    counts: np.ndarray
    """Whether each of the values counts: by its weight, and as a label."""
    exact: bool
    """Whether they are integers or booleans."""

    @property
    def some(self) -> np.ndarray:
        """The values that count and are numbers, in a row."""
        return self.values[self.counts & ~np.isnan(self.values)]

    def within(self, least: int, most: int | None = None) -> bool:
        """Whether all that counts lies between these."""
        return bool(np.all(self.some >= least) and (most is None or np.all(self.some <= most)))

    @property
    def reach(self) -> str:
        """From where to where it reaches, as the beginning of a sentence."""
        return f"{self.shown} reaches from {self.some.min():.6g} to {self.some.max():.6g}"

    def sums(self, axis: int) -> np.ndarray:
        """Return the sums along an axis of what counts throughout."""
        along = np.sum(self.values, axis=axis)[np.all(self.counts, axis=axis)]
        return along[~np.isnan(along)]


def seen_of(name: str, value: PyTree, weight: PyTree) -> Seen | None:
    """Return predictions or labels as they are looked at; None where they aren't an array of real numbers."""
    if not is_arraylike(value) or jnp.issubdtype(value.dtype, jnp.complexfloating):
        return None
    exact = not jnp.issubdtype(value.dtype, jnp.inexact)
    if exact and not (jnp.issubdtype(value.dtype, jnp.integer) or value.dtype == bool):
        return None
    values = np.asarray(value, np.float64)
    counts = np.ones(values.shape, bool)
    if is_arraylike(weight) and values.shape[: weight.ndim] == weight.shape:
        counts &= (np.asarray(weight) != 0).reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return Seen(f"`{name}` {array_name(value)}", values, counts, exact)


def judged(meant: Meant, y_pred: Seen | None, y_true: Seen | None) -> Iterator[str]:
    """Yield what is doubtful, each as the rest of a sentence that begins with who reads it."""
    for seen in (y_pred, y_true):
        if seen is not None and (spoiled := np.sum(np.isnan(seen.values) & seen.counts)):
            mend = " Give labels that are missing the weight 0." if seen is y_true else ""
            yield f"reads {seen.shown}, of which {spoiled} of {seen.values.size} are NaN.{mend}"
    if meant.predictions is None:
        return
    if y_pred is not None and y_pred.some.size:
        yield from _of_predictions(meant, y_pred)
    if y_true is not None and y_pred is not None:
        ignored = meant.options.get("ignore_class")
        if ignored is not None:
            y_true = y_true._replace(counts=y_true.counts & (y_true.values != ignored))
        if y_true.some.size:
            yield from _of_labels(meant, y_pred, y_true)


def _of_predictions(meant: Meant, y_pred: Seen) -> Iterator[str]:
    if meant.predictions in ("probabilities", "distributions"):
        if not y_pred.within(0, 1):
            yield f"takes probabilities, and {y_pred.reach}: are these logits? Then {_mend_of_logits(meant)}."
        elif meant.predictions == "distributions" and y_pred.values.ndim > 1:
            yield from _of_sums(y_pred, _axis(meant, y_pred), "Did a softmax go missing, or is it a sigmoid?")
    elif meant.predictions == "logits":
        if y_pred.within(0, 1) and y_pred.some.size >= _SEVERAL:
            leave = "leave out `from_logits=True`, or" if "from_logits" in meant.options else "leave out"
            yield (
                f"takes logits, and all of {y_pred.shown} lies within [0, 1]: are these probabilities already? Then "
                f"{leave} the sigmoid or softmax."
            )
    elif meant.predictions == "rates" and not y_pred.within(0):
        yield f"takes numbers that aren't negative, and {y_pred.reach}."


def _mend_of_logits(meant: Meant) -> str:
    if "from_logits" in meant.options:
        return "pass `from_logits=True`"
    mend = "end the module with a sigmoid or softmax"
    for name in ("threshold", "thresholds"):
        if name in meant.options and "num_thresholds" not in meant.options:
            return f"{mend}, or pass `{name}=0`"
    return mend


def _of_labels(meant: Meant, y_pred: Seen, y_true: Seen) -> Iterator[str]:
    what, shape = meant.predictions, y_pred.values.shape
    if what == "margins":
        if not np.all(np.isin(y_true.some, (-1, 0, 1))):
            yield f"takes labels of -1 or 1, or of 0 or 1, and {y_true.reach}."
    elif what == "rates":
        if not y_true.within(0):
            yield f"takes numbers that aren't negative, and {y_true.reach}."
    elif what == "indices" or (what == "scores" and y_pred.exact and "num_classes" in meant.options):
        for seen in (y_pred, y_true):
            if seen.exact:
                yield from _of_indices(seen, meant, meant.options.get("num_classes"))
    elif y_true.values.shape == shape:
        if not y_true.within(0, 1):
            both = " Are they -1 and 1? Then pass `(y + 1) / 2`." if y_true.some.min() == -1 else ""
            yield f"takes labels from 0 to 1, and {y_true.reach}.{both}"
        elif what == "distributions" and len(shape) > 1:
            yield from _of_sums(
                y_true, _axis(meant, y_pred), "For several classes at once there are the binary losses."
            )
    elif y_true.exact and len(shape) > 1 and y_true.values.shape == tuple(np.delete(shape, _axis(meant, y_pred))):
        yield from _of_indices(y_true, meant, shape[_axis(meant, y_pred)])


def _axis(meant: Meant, y_pred: Seen) -> int:
    """Return the axis of classes, the last where it isn't said."""
    axis = meant.options.get("axis")
    return axis if isinstance(axis, int) and -y_pred.values.ndim <= axis < y_pred.values.ndim else -1


def _of_sums(seen: Seen, axis: int, mend: str) -> Iterator[str]:
    sums = seen.sums(axis)
    if sums.size and np.max(np.abs(sums - 1)) > _TOLERANCE:
        reach = f"from {sums.min():.3g} to {sums.max():.3g}"
        yield f"takes distributions over classes, and the sums of {seen.shown} along axis {axis} reach {reach}. {mend}"


def _of_indices(seen: Seen, meant: Meant, classes: object) -> Iterator[str]:
    if isinstance(classes, int) and seen.some.size and not seen.within(0, classes - 1):
        mend = ""
        if seen.some.min() == 1 and seen.some.max() == classes:
            mend = " Do they begin at 1? Then subtract 1."
        elif "ignore_class" in meant.options and meant.options["ignore_class"] is None:
            mend = " Does one of them say that there is none? Then pass it as `ignore_class`."
        yield f"takes class indices from 0 to {classes - 1}, and {seen.reach}.{mend}"
