"""From what users pass as data to a source of batches."""

from typing import Any

from .._describe import describe
from .._errors import DataError
from ._array_source import ArraySource
from ._as_arrays import Arrays
from ._iterable_source import BatchSource, gives_batches
from ._source import Source

BATCH_SIZE = 32


def as_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None,
    remainder: bool = True,
    continues: bool = False,
) -> Source:
    """Arrays, or something that gives batches, as a source.

    **Arguments:**

    - `x`, `y`, `sample_weight`: what the user passed.
    - `batch_size`: how many examples a batch has; 32 if `None`. What gives batches has its own.
    - `remainder`: whether the last batch of arrays is used if it is smaller.
    - `continues`: whether epochs have a length of their own, and run on through the data.

    **Raises:** [`treegy.DataError`][] for what is neither.
    """
    if gives_batches(x):
        refuse(
            x,
            y=y is not None,
            sample_weight=sample_weight is not None,
            batch_size=batch_size is not None,
            drop_remainder=not remainder,
        )
        return BatchSource(x, "x", continues=continues)
    return ArraySource(Arrays.of(x, y, sample_weight), batch_size or BATCH_SIZE, remainder, continues)


def as_validation_source(data: Any, batch_size: int | None, default: int | None) -> Source | None:
    """What the user passed as `validation_data`.

    **Raises:** `TypeError` for what can't be validated on.
    """
    if data is None:
        return None
    if gives_batches(data):
        if batch_size is not None:
            raise DataError(
                f"`validation_batch_size` is given, and `validation_data` is {describe(data)}, which gives batches: "
                "they are of the size in which they come."
            )
        return BatchSource(data, "validation_data")
    if not isinstance(data, tuple | list) or not 1 <= len(data) <= 3:
        raise TypeError(
            f"`validation_data` is {describe(data)}; a tuple `(x, y)` or `(x, y, sample_weight)` is expected, or "
            "`(x,)` without labels, or something that gives batches, such as an object whose `__iter__` does. A list "
            "is a PyTree."
        )
    if gives_batches(data[0]):
        raise DataError(
            f"`validation_data` is a tuple that begins with {describe(data[0])}: what gives batches is passed alone, "
            "and its batches are `(x, y)`."
        )
    return ArraySource(Arrays.of(*data, prefix="validation_data: "), batch_size or default or BATCH_SIZE)


def refuse(x: Any, **given: bool) -> None:
    """Raise for arguments that have no meaning where `x` gives batches."""
    mends = {
        "y": "labels come with the batches: let it give `(x, y)`",
        "sample_weight": "weights come with the batches: let it give `(x, y, sample_weight)`",
        "batch_size": "batches are of the size in which they come: choose it where they are made",
        "drop_remainder": "which batches there are is decided where they are made",
        "validation_split": "what isn't held in arrays can't be split: pass `validation_data`",
    }
    for name in (n for n, there in given.items() if there):
        raise DataError(f"`{name}` is given, and `x` is {describe(x)}, which gives batches: {mends[name]}.")
