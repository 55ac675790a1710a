"""The tables that a summary prints."""

from collections.abc import Sequence
from typing import NamedTuple

from ._reads import Injection
from ._table import NO_BREAK, Column, Table


class Entry(NamedTuple):
    """A row of the table: a layer with all that is in it."""

    path: str
    """Where it is in the module: `.layers[0]`; empty for the module itself."""
    type: str = ""
    output: str = ""
    """What it returns for the batch: `f32[32,10]`; empty where that isn't known."""
    trainable: int = 0
    """How many numbers in it are trained."""
    trainable_bytes: int = 0
    other: int = 0
    """How many are not: frozen leaves and entries of the `eqx.nn.State`."""
    other_bytes: int = 0


def layer_table(rows: Sequence[Entry]) -> Table:
    """Return the table of layers."""
    # Columns that nothing stands in are left out: a terminal is narrow.
    cells = [
        (
            e.path or "(module)",
            e.type,
            e.output,
            *((f"{e.trainable:,}", size_text(e.trainable_bytes)) if e.trainable else ("", "")),
            *((f"{e.other:,}", size_text(e.other_bytes)) if e.other else ("", "")),
        )
        for e in rows
    ]
    titles = ("Layer", "Type", "Output", "Trainable", "Size", "Other", "Size ")
    columns = [Column(title, i > 2) for i, title in enumerate(titles)]
    used = [i for i in range(len(columns)) if i in (0, 1, 3, 4) or any(row[i] for row in cells)]
    return Table([columns[i] for i in used], [[row[i] for i in used] for row in cells])


def injection_table(read: Sequence[Injection]) -> Table:
    """Return the table of what the module, the losses and the metrics read."""
    rows = [
        (i.kind, i.name, i.error or ", ".join(n + NO_BREAK + v if v else n for n, v in i.reads.items())) for i in read
    ]
    return Table((Column("Kind"), Column("Name"), Column("Reads")), rows)


def size_text(n: int) -> str:
    """Return a number of bytes with three digits or so: `1.5 MB`."""
    units = ("B", "KB", "MB", "GB", "TB", "PB")
    power = 0
    # As long as it would be shown with more than three digits before the point.
    while n / 1024**power >= 1023.95 and power < len(units) - 1:
        power += 1
    return f"{n} B" if power == 0 else f"{n / 1024**power:,.1f} {units[power]}"
