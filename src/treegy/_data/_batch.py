"""One batch: what a step is given of the data."""

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """One batch of data, or a chunk of them stacked; or a whole data set, before it is cut into batches."""

    x: Any = None
    y_true: Any = None
    sample_weight: Any = None
    class_weight: Any = None
