"""Curves of metric values as SVG, which a browser shows without anything else."""

import html
import json
import math
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 30, 34


def chart(title: str, lines: Mapping[str, Points]) -> str:
    """Return one chart as HTML: a line for each name, over the epochs.

    **Arguments:**

    - `title`: what stands above it.
    - `lines`: for each name its points, `(epoch, value)`, epochs counted from 0. Those that aren't finite are left out.
    """
    finite = {name: [(x + 1, y) for x, y in points if math.isfinite(y)] for name, points in lines.items()}
    known = [point for points in finite.values() for point in points]
    head = f'<text class="title" x="{_LEFT}" y="18">{html.escape(title)}</text>'
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title, quote=True)} over the epochs"'
    if not known:
        middle = f'<text class="tick" x="{_WIDTH / 2}" y="{_HEIGHT / 2}" text-anchor="middle">no finite values</text>'
        return f'<figure class="chart"><svg {size}>{head}{middle}</svg></figure>'
    across = _Axis([x for x, _ in known], _LEFT, _WIDTH - _RIGHT, whole=True)
    up = _Axis([y for _, y in known], _HEIGHT - _BOTTOM, _TOP)
    parts = [head, *_grid(across, up)]
    parts += [_line(i, points, across, up) for i, points in enumerate(finite.values())]
    legend = "".join(
        f'<span><i class="line{i % 4}"></i>{html.escape(name)}</span>' for i, name in enumerate(finite) if finite[name]
    )
    # What is shown where the mouse is: the places of the points and what they are.
    data = {
        name: [[round(across(x), 1), round(up(y), 1), x, f"{y:.6g}"] for x, y in points]
        for name, points in finite.items()
    }
    script = json.dumps(data).replace("<", "\\u003c")
    return (
        f'<figure class="chart"><svg {size}>{"".join(parts)}<line class="cursor" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        f"</svg><figcaption>{legend}</figcaption><output hidden></output>"
        f'<script type="application/json">{script}</script></figure>'
    )


class _Axis:
    """Where values are drawn, between two edges, and which of them get a tick."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, whole: bool = False):
        low, high = min(values), max(values)
        if low == high:
            pad = 0.5 if whole else abs(low) * 0.05 or 0.5
            low, high = low - pad, high + pad
        elif not whole:
            pad = (high - low) * 0.05
            low, high = low - pad, high + pad
        self._low, self._high, self._start, self._end = low, high, start, end
        step = _round_step((high - low) / 5)
        step = max(1.0, step) if whole else step
        first = math.ceil(low / step)
        self.ticks = [n * step for n in range(first, math.floor(high / step) + 1)]

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)


def _round_step(least: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, ... (and their fractions) that is at least as large."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))


def _grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for y in up.ticks:
        at = up(y)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    for x in across.ticks:
        at = across(x)
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{x:.0f}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">epoch</text>')
    return parts


def _line(index: int, points: Points, across: _Axis, up: _Axis) -> str:
    places = [f"{across(x):.1f},{up(y):.1f}" for x, y in points]
    if len(places) == 1:
        x, y = places[0].split(",")
        return f'<circle class="line{index % 4}" cx="{x}" cy="{y}" r="3"/>'
    return f'<polyline class="line{index % 4}" points="{" ".join(places)}"/>' if places else ""
