"""Tables as text for terminals and as HTML for notebooks."""

import html
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

# A line under the header and nothing else, in characters that every encoding has.
_BOX = "    \n    \n -- \n    \n    \n    \n    \n    \n"

# A space at which no line is broken. To rich, what Unicode has for this is a space as any other.
NO_BREAK = "\ue000"


class Column(NamedTuple):
    title: str
    numeric: bool = False


class Table(NamedTuple):
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def as_text(tables: Sequence[Table], notes: Sequence[str], width: int) -> str:
    """Return the tables one under the other, and the notes. Cells too long for `width` are wrapped."""
    # Rich takes a while to import, and is needed for this alone.
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table as RichTable

    file = io.StringIO()
    # Paths such as `['a']` look like rich's markup.
    plain: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False, "color_system": None}
    # In a notebook it would show the tables there, and write nothing.
    console = Console(file=file, width=width, force_jupyter=False, **plain)
    for table in tables:
        drawn = RichTable(box=Box(_BOX, ascii=True), pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for column in table.columns:
            if column.numeric:
                drawn.add_column(column.title, justify="right", no_wrap=True, min_width=_widest(table, column))
            else:
                drawn.add_column(column.title, overflow="fold")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
        console.print()
    for note in notes:
        console.print(f"Note: {note}", soft_wrap=False)
    text = file.getvalue().replace(NO_BREAK, " ")
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _widest(table: Table, column: Column) -> int:
    i = list(table.columns).index(column)
    return max([len(column.title), *(len(row[i]) for row in table.rows)])


def as_html(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Return the same as HTML."""
    parts = [_html_table(table) for table in tables]
    parts += [f"<p>Note: {html.escape(note)}</p>" for note in notes]
    return "<div>" + "".join(parts) + "</div>"


def _html_table(table: Table) -> str:
    aligned = ["right" if column.numeric else "left" for column in table.columns]

    def row(tag: str, cells: Sequence[str]) -> str:
        inner = (
            f'<{tag} style="text-align: {align}">{html.escape(cell.replace(NO_BREAK, " "))}</{tag}>'
            for cell, align in zip(cells, aligned, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    head = row("th", [column.title for column in table.columns])
    body = "".join(row("td", cells) for cells in table.rows)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
