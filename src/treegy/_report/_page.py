"""A page that tells of a run: one HTML file that needs no network and nothing else beside it."""

import base64
import html
import inspect
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._describe import describe
from ._curves import Points, chart

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1f; --soft: #63636e; --line: #dcdce2; --back: #fff;
  --c0: #2f5fd0; --c1: #c4570b; --c2: #1a7f64; --c3: #8a3fb0; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8ec; --soft: #9d9da8; --line: #3a3a42; --back: #17171b;
  --c0: #8fb0ff; --c1: #ffab6b; --c2: #66d2b0; --c3: #d3a1f0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 74rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } .chart { position: relative; } .chart svg { width: 100%; height: auto; display: block; }
.title { font-weight: 600; font-size: 14px; fill: var(--text); } .tick { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); } .cursor { stroke: var(--soft); visibility: hidden; }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
polyline.line0 { stroke: var(--c0); } polyline.line1 { stroke: var(--c1); stroke-dasharray: 6 3; }
polyline.line2 { stroke: var(--c2); stroke-dasharray: 2 3; } polyline.line3 { stroke: var(--c3); }
circle.line0 { fill: var(--c0); } circle.line1 { fill: var(--c1); }
circle.line2 { fill: var(--c2); } circle.line3 { fill: var(--c3); }
figcaption span { margin-right: 1rem; font-size: .85rem; white-space: nowrap; }
figcaption i { display: inline-block; width: 1.4em; border-top: 2px solid; margin-right: .4em; vertical-align: .25em; }
i.line0 { border-color: var(--c0); } i.line1 { border-color: var(--c1); border-top-style: dashed; }
i.line2 { border-color: var(--c2); border-top-style: dotted; } i.line3 { border-color: var(--c3); }
output { position: absolute; pointer-events: none; background: var(--back); border: 1px solid var(--line);
  border-radius: 4px; padding: .2rem .5rem; font-size: .8rem; white-space: pre; top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .4rem 0 1rem; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  font-variant-numeric: tabular-nums; } th { font-weight: 600; color: var(--soft); }
.number { text-align: right; } pre { overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; }
img { max-width: 100%; height: auto; background: #fff; } summary { cursor: pointer; color: var(--soft); }
"""

_SCRIPT = """
for (const chart of document.querySelectorAll(".chart")) {
  const source = chart.querySelector("script");
  if (!source) continue;
  const lines = Object.entries(JSON.parse(source.textContent)).filter(([, points]) => points.length);
  const svg = chart.querySelector("svg"), cursor = chart.querySelector(".cursor"), box = chart.querySelector("output");
  svg.addEventListener("pointermove", event => {
    const frame = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / frame.width;
    const x = (event.clientX - frame.left) * scale;
    let best = null;
    for (const [, points] of lines) for (const point of points)
      if (best === null || Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
    const told = lines.flatMap(([name, points]) =>
      points.filter(point => point[2] === best[2]).map(point => name + "  " + point[3]));
    box.textContent = ["epoch " + best[2], ...told].join("\\n");
    box.hidden = false;
    const left = best[0] / scale, room = frame.width - box.offsetWidth;
    box.style.left = Math.max(0, left + 12 > room ? left - box.offsetWidth - 12 : left + 12) + "px";
    cursor.setAttribute("x1", best[0]); cursor.setAttribute("x2", best[0]); cursor.style.visibility = "visible";
  });
  svg.addEventListener("pointerleave", () => { box.hidden = true; cursor.style.visibility = "hidden"; });
}
"""


class Grid(NamedTuple):
    """A table: its titles, and rows of text."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers_from: int = 1
    """From which column on there are numbers."""


def page(title: str, subtitle: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return the page as HTML: a title, and sections with titles of their own, whose content is HTML."""
    body = "".join(f"<section><h2>{html.escape(name)}</h2>{content}</section>" for name, content in sections if content)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{html.escape(title)}</h1><p class="soft">{html.escape(subtitle)}</p>{body}'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def charts(groups: Mapping[str, Mapping[str, Points]]) -> str:
    """Return charts beside each other: by title the lines of each."""
    drawn = "".join(chart(title, lines) for title, lines in groups.items())
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def table(grid: Grid) -> str:
    """Return a table as HTML."""

    def row(tag: str, cells: Sequence[str]) -> str:
        kinds = [' class="number"' if i >= grid.numbers_from else "" for i in range(len(cells))]
        inner = [f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True)]
        return f"<tr>{''.join(inner)}</tr>"

    head = f"<thead>{row('th', grid.titles)}</thead>" if any(grid.titles) else ""
    body = "".join(row("td", cells) for cells in grid.rows)
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'


def pairs(values: Mapping[str, object]) -> str:
    """Return names and what they are as a table."""
    if not values:
        return ""
    rows = [(name, value if isinstance(value, str) else _shown(value)) for name, value in values.items()]
    return table(Grid(("", ""), rows, numbers_from=2))


def _shown(value: object) -> str:
    """Return a value as a report shows it: a number or a short text as it is, and of an array its type."""
    if isinstance(value, bool | int | float | str) or value is None:
        return str(value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return value.__name__
    text = str(value)
    return text if len(text) <= 200 and "\n" not in text and " at 0x" not in text else describe(value)


def folded(summary: str, content: str) -> str:
    """Return what is only shown when it is asked for."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def paragraph(text: str) -> str:
    """Return a remark."""
    return f'<p class="soft">{html.escape(text)}</p>'


def code(text: str) -> str:
    """Return text as it would stand in a terminal."""
    return f"<pre>{html.escape(text)}</pre>"


def wide(content: str) -> str:
    """Return HTML that scrolls by itself where it is wider than the page."""
    return f'<div class="wide">{content}</div>'


def pictures(figures: Mapping[str, Any]) -> str:
    """Return figures of Matplotlib, by title, as images within the page."""
    found: list[str] = []
    for title, figure in figures.items():
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150)
        data = base64.b64encode(file.getvalue()).decode()
        name = html.escape(title, quote=True)
        found.append(
            f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><p class="soft">{name}</p></figure>'
        )
    return f'<div class="charts">{"".join(found)}</div>' if found else ""


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file as a whole: nobody ever sees half of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target
