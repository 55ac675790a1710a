"""From what users pass as data to a source of batches."""

from .._describe import describe
from .._errors import DataError
from .._types import PyTree
from ._array_source import ArraySource
from ._as_arrays import Arrays
from ._iterable_source import BatchSource, gives_batches
from ._source import Source

BATCH_SIZE = 32


def as_source(
    x: PyTree,
    y: PyTree = None,
    sample_weight: PyTree = None,
    *,
    batch_size: int | None,
    class_weight: PyTree = None,
    remainder: bool = True,
    continues: bool = False,
) -> Source:
    """Arrays, or something that gives batches, as a source.

    **Arguments:**

    - `x`, `y`, `sample_weight`: what the user passed.
    - `batch_size`: how many examples a batch has; 32 if `None`. What gives batches has its own.
    - `class_weight`: the tables of class weights, which every batch has.
    - `remainder`: whether the last batch of arrays is used if it is smaller.
    - `continues`: whether epochs have a length of their own, and run on through the data.

    **Raises:** [`treegy.DataError`][] for what is neither.
    """
    if gives_batches(x):
        _refuse(
            x,
            y=y is not None,
            sample_weight=sample_weight is not None,
            batch_size=batch_size is not None,
            drop_remainder=not remainder,
        )
        source: Source = BatchSource(x, "x", continues=continues)
    else:
        source = ArraySource(Arrays.of(x, y, sample_weight), batch_size or BATCH_SIZE, remainder, continues)
    source.class_weight = class_weight
    return source


def split(source: Source, x: PyTree, fraction: float, batch_size: int | None) -> tuple[Source, Source]:
    """Return data without a fraction at its end, and that to validate on.

    **Arguments:**

    - `x`: what the user passed.
    - `batch_size`: that of validation; the same by default.

    **Raises:** [`treegy.DataError`][] for data that isn't held in arrays.
    """
    if not isinstance(source, ArraySource):
        raise refused(x, "validation_split")
    return source.split(fraction, batch_size)


def as_validation_source(data: PyTree, batch_size: int | None, default: int | None) -> Source | None:
    """Return what the user passed as `validation_data`.

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


def _refuse(x: PyTree, **given: bool) -> None:
    for name in (n for n, there in given.items() if there):
        raise refused(x, name)


def refused(x: PyTree, name: str) -> DataError:
    """Return the error for an argument that has no meaning where `x` gives batches."""
    mends = {
        "y": "labels come with the batches: let it give `(x, y)`",
        "sample_weight": "weights come with the batches: let it give `(x, y, sample_weight)`",
        "batch_size": "batches are of the size in which they come: choose it where they are made",
        "drop_remainder": "which batches there are is decided where they are made",
        "validation_split": "what isn't held in arrays can't be split: pass `validation_data`",
    }
    return DataError(f"`{name}` is given, and `x` is {describe(x)}, which gives batches: {mends[name]}.")
