"""One batch: what a step is given of the data."""

from typing import NamedTuple

from .._types import PyTree


class Batch(NamedTuple):
    """One batch of data, or a chunk of them stacked; or a whole data set, before it is cut into batches."""

    x: PyTree = None
    y_true: PyTree = None
    sample_weight: PyTree = None
    class_weight: PyTree = None
