"""What `History.report` writes: the sections of the page of a run."""

import datetime
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .._describe import array_name, listed
from .._report._machine import hardware, versions
from .._report._page import Grid, charts, code, folded, page, pairs, paragraph, pictures, table, wide, write
from .._steps._model_like import ModelLike
from .._types import PyTree
from ._durations import duration, short_duration


class Recorded(Protocol):
    """What is shown of a `History`."""

    history: dict[str, list[Any]]
    epoch: list[int]
    seconds: list[float]
    stopped: str | None


def report(
    history: Recorded,
    groups: Mapping[str, Sequence[str]],
    path: str | os.PathLike[str],
    title: str,
    model: ModelLike | None,
    data: tuple[PyTree, PyTree],
    hyperparameters: Mapping[str, object],
    figures: Mapping[str, Any],
) -> Path:
    """Write the page.

    **Arguments:**

    - `groups`: the names of the metric values that are drawn, by the title of their chart.
    - `data`: `x` and `y` of which the summary knows what layers return, or `None`.
    """
    values = history.history
    points = {name: list(zip(history.epoch, values[name], strict=True)) for name in values}
    lines = {chart: {name: points[name] for name in group} for chart, group in groups.items()}
    scalars = {name for name, each in values.items() if all(isinstance(value, float) for value in each)}
    shown = {name for group in groups.values() for name in group}
    arrays = [name for name in values if name not in scalars]
    note = paragraph(f"Not drawn, as they aren't scalars: {listed(arrays)}.") if arrays else ""
    sections = [
        ("Metric values", charts(lines) + note),
        ("Final values", _last_values(history, scalars, shown) + folded("All epochs", _all_values(history))),
        ("Hyperparameters", pairs(hyperparameters)),
        ("Pictures", pictures(figures)),
    ]
    if history.stopped is not None and "\n" in history.stopped:
        sections.insert(0, ("Why it stopped", code(history.stopped)))
    if model is not None:
        sections += [
            ("Layers and inputs", wide(model.summary(*data)._repr_html_())),
            ("Model", code(repr(model))),
        ]
    sections += [("Durations", _durations(history)), ("Machine", pairs(hardware())), ("Versions", pairs(versions()))]
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return write(path, page(title, _subtitle(history, now), sections))


def _subtitle(history: Recorded, now: str) -> str:
    n = len(history.epoch)
    parts = [f"{n} epoch{'' if n == 1 else 's'}"]
    if history.stopped is not None:
        parts.append(f"stopped: {history.stopped.partition(chr(10))[0]}")
    return " · ".join([*parts, f"written on {now}"])


def _last_values(history: Recorded, scalars: set[str], shown: set[str]) -> str:
    if not history.epoch:
        return paragraph("There are no epochs.")
    rows: list[list[str]] = []
    for name, values in history.history.items():
        if name in scalars and name not in shown:
            continue  # it repeats the total
        if name not in scalars:
            rows.append([name, array_name(values[-1]) if isinstance(values[-1], np.ndarray) else "", "", "", "", ""])
            continue
        known = [(value, epoch) for value, epoch in zip(values, history.epoch, strict=True) if not math.isnan(value)]
        # Of equal values the first.
        (low, when_low), (high, when_high) = (
            pick(known or [(math.nan, 0)], key=lambda one: one[0]) for pick in (min, max)
        )
        cells = [values[-1], low, when_low + 1, high, when_high + 1]
        rows.append([name, *(f"{cell:.6g}" for cell in cells)])
    return table(Grid(("", "last", "smallest", "in epoch", "largest", "in epoch"), rows))


def _all_values(history: Recorded) -> str:
    names = list(history.history)
    rows = [
        [str(epoch + 1), *(_cell(history.history[name][i]) for name in names)] for i, epoch in enumerate(history.epoch)
    ]
    return table(Grid(("epoch", *names), rows))


def _cell(value: PyTree) -> str:
    return f"{value:.6g}" if isinstance(value, float) else array_name(value)


def _durations(history: Recorded) -> str:
    known = [seconds for seconds in history.seconds if not math.isnan(seconds)]
    if not known:
        return ""
    told: dict[str, object] = {"All epochs, with validation": duration(sum(known))}
    if len(known) < len(history.epoch):
        told["Epochs whose duration isn't known"] = len(history.epoch) - len(known)
    told["The first, which compiles"] = duration(known[0])
    if len(known) > 1:
        told["Each later one, median"] = short_duration(float(np.median(known[1:])))
    return pairs(told)
