"""The tables: Markdown for people, JSON for programs."""

import dataclasses
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import statistics
from pathlib import Path
from typing import Any

from contenders import OTHERS, OURS
from counts import Count
from timing import Result

_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"
_PACKAGES = ["treegy", "jax", "jaxlib", "equinox", "optax", "numpy", "keras", "flax", "torch"]


def machine() -> dict[str, Any]:
    import jax

    device = jax.devices()[0]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": _cores(),
        "system": f"{platform.system()} {platform.release()}",
        "device": f"{device.platform}: {device.device_kind}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "from its sources" if importlib.util.find_spec(package) else None


def as_json(
    results: list[Result], counted: list[Count], about: dict[str, Any], absent: dict[str, str]
) -> dict[str, Any]:
    workloads = {}
    for result in results:
        ratios = {
            ours: {
                other: {"median": statistics.median(found), "bound": result.bounds.get(other), "rounds": found}
                for other in OTHERS
                if other in result.values and (found := result.ratios(ours, other))
            }
            for ours in OURS
            if ours in result.values
        }
        workloads[result.name] = {
            "title": result.title,
            "unit": result.unit,
            "steps": result.steps,
            "values": result.values,
            "ratios": ratios,
            "computed": result.computed,
            "missing": result.missing,
        }
    return {
        **about,
        "absent": absent,
        "workloads": workloads,
        "counts": [dataclasses.asdict(count) for count in counted],
    }


def markdown(results: list[Result], counted: list[Count], about: dict[str, Any], absent: dict[str, str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    columns = [other for other in OTHERS if any(other in r.values for r in results)]
    held, bounded = _bounds(results, counted)
    parts = [
        f"{about['date']}, {about['processor']}, {about['cores']} cores, {about['system']}, device {about['device']}; "
        f"Python {about['python']}, {versions}. Rounds: {about['rounds']}"
        f"{', with few examples (`--quick`): compilation and fixed costs weigh too much' if about['quick'] else ''}.",
    ]
    if about["device"].startswith("cpu"):
        parts.append("No GPU was at hand: nothing is said of GPUs.")
    if about["load"] is not None and about["load"] > 0.5 * about["cores"]:
        parts.append(f"**The machine was busy** (load {about['load']} when it began): these figures mean little.")
    parts += [
        "treegy divided by the others: less than 1 is faster. Medians of pairs measured in the same round; in brackets "
        f"the bound, where there is one, and whether it holds. {held} of {bounded} bounds hold.",
        _table(["", *columns], [row for result in results for row in _ratio_rows(result, columns)]),
        "Medians of what was measured, for an epoch or a pass over all examples, and for a step of it:",
        _table(
            ["", *OURS, *columns],
            [[result.title, *(_measured(result, name) for name in [*OURS, *columns])] for result in results],
        ),
    ]
    if counted:
        rows = [[c.title, f"{c.value:.3g} (≤ {c.at_most:g} {'✓' if c.holds else '✗'})"] for c in counted]
        parts += ["Counted, each in a new process:", _table(["", "treegy"], rows)]
    if absent:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in absent.items())
        parts.append(f"Left out: {reasons}.")
    return "\n\n".join(parts) + "\n"


def _ratio_rows(result: Result, columns: list[str]) -> list[list[str]]:
    rows = []
    for ours in OURS:
        if ours in result.missing:
            rows.append([f"{result.title} (treegy: {result.missing[ours]})", *("" for _ in columns)])
            break
        if ours in result.values:
            title = result.title if ours == OURS[0] else "… with progress shown"
            rows.append([title, *(_ratio(result, ours, other) for other in columns)])
    return rows


def _ratio(result: Result, ours: str, other: str) -> str:
    if other not in result.values:
        return ""
    ratio, bound = statistics.median(result.ratios(ours, other)), result.bounds.get(other)
    if bound is None:
        return f"{ratio:.2f}"
    return f"**{ratio:.3f}** (≤ {bound:.2f} {'✓' if ratio <= bound else '✗'})"


def _bounds(results: list[Result], counted: list[Count]) -> tuple[int, int]:
    """How many bounds hold, of how many that were measured."""
    holds = [
        statistics.median(result.ratios(ours, other)) <= bound
        for result in results
        for ours in OURS
        if ours in result.values
        for other, bound in result.bounds.items()
        if other in result.values
    ]
    holds += [count.holds for count in counted]
    return sum(holds), len(holds)


def _measured(result: Result, name: str) -> str:
    if name not in result.values:
        return result.missing.get(name, "")
    value = result.median(name)
    if result.unit == "MB":
        return f"{value:.0f} MB"
    text = f"{value:.2f} s" if value >= 0.9995 else f"{value * 1e3:.0f} ms"
    return text if result.steps is None else f"{text}, {value / result.steps * 1e6:.0f} µs"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(path: Path, text: str) -> None:
    """Write a report: between the marks of a file that has them, or as a file of its own."""
    if path.exists() and _BEGIN in (page := path.read_text(encoding="utf-8")):
        before, rest = page.split(_BEGIN)
        text = f"{before}{_BEGIN}\n\n{text}\n{_END}{rest.split(_END)[1]}"
    path.write_text(text, encoding="utf-8")
