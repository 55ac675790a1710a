"""Comparing contenders in this process: first that they compute the same, then how long they take."""

import dataclasses
import gc
import statistics
import time
from typing import Any

import numpy as np
from contenders import Contender
from workloads import CLASSES, Work

_PROBE = 2048

# Who takes so many times as long as the fastest is measured in so few rounds.
_SLOW, _FEW = 8.0, 3


class Differ(Exception):
    """Contenders that don't compute the same can't be compared."""


@dataclasses.dataclass
class Result:
    """What was measured of one workload."""

    name: str
    title: str
    unit: str = "s"
    steps: int | None = None
    bounds: dict[str, float] = dataclasses.field(default_factory=dict)
    """What treegy divided by another may be at most."""
    values: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """For each contender a value per round."""
    computed: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    """For each contender the figures by which they were found to compute the same."""
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    """Who could not take part, and why."""

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def ratios(self, ours: str, other: str) -> list[float]:
        """Of what was measured in the same round."""
        return [a / b for a, b in zip(self.values[ours], self.values[other], strict=False)]


def prepare(work: Work, classes: dict[str, type[Contender]]) -> tuple[dict[str, Contender], Result]:
    """Make contenders, let each run once, and check that all come to the same.

    **Raises:** `Differ` if they don't.
    """
    result = Result(work.name, work.title, steps=work.steps)
    made: dict[str, Contender] = {}
    outputs: dict[str, Any] = {}
    for name, cls in classes.items():
        if not cls.does(work):
            continue
        contender = cls(work)
        try:
            outputs[name], result.computed[name] = _once(work, contender)
        except (TypeError, ValueError) as e:
            if work.source != "generator" or not name.startswith("treegy"):
                raise
            result.missing[name] = f"not yet ({type(e).__name__})"
            continue
        made[name] = contender
    check(work, result.computed, outputs)
    return made, result


def _once(work: Work, contender: Contender) -> tuple[Any, dict[str, float]]:
    x, y = np.asarray(work.x[:_PROBE]), work.y[:_PROBE]
    contender.reset()
    before = contender.logits(x)
    found = contender.run()
    if work.task == "predict":
        return np.asarray(found), {}
    if work.task == "evaluate":
        return None, {"loss": found[0], "accuracy": found[1]}
    return None, {
        "loss before": _crossentropy(before, y),
        "loss of the epoch": found,
        "loss after": _crossentropy(contender.logits(x), y),
    }


def check(work: Work, computed: dict[str, dict[str, float]], outputs: dict[str, Any]) -> None:
    """**Raises:** `Differ` if what was computed isn't the same, as far as rounding lets it be."""
    reference = "hand-written" if "hand-written" in computed else next(iter(computed))
    for name, figures in computed.items():
        for figure, value in figures.items():
            expected = computed[reference][figure]
            # Rounding grows from step to step, and so does a difference between networks that train.
            tolerance = 1e-4 if figure in ("loss before", "loss", "accuracy") else 1e-2
            if not np.isnan(value) and not abs(value - expected) <= tolerance * abs(expected) + 1e-5:
                raise Differ(f"{work.name}: {figure} of {name} is {value:.6f}, of {reference} {expected:.6f}.")
        if figures.get("loss after", 0.0) > 0.999 * figures.get("loss before", np.inf):
            raise Differ(f"{work.name}: {name} has not trained: {figures}.")
    for name, output in outputs.items():
        if output is not None and not np.allclose(output, outputs[reference], rtol=1e-3, atol=1e-4):
            raise Differ(f"{work.name}: {name} and {reference} predict differently.")


def measure(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender, a round after the other, each round beginning with another one.

    Those that take many times as long as the fastest are measured in the first rounds only.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds):
        for name in rotated(list(contenders), i):
            if i >= _FEW and statistics.median(seconds[name]) > _SLOW * min(map(statistics.median, seconds.values())):
                continue
            contender = contenders[name]
            contender.reset()
            gc.collect()
            start = time.perf_counter()
            contender.run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def rotated(names: list[str], by: int) -> list[str]:
    by %= max(len(names), 1)
    return names[by:] + names[:by]


def _crossentropy(logits: Any, y: np.ndarray) -> float:
    logits = np.asarray(logits).astype(np.float64)
    assert logits.shape == (len(y), CLASSES)
    logits -= logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]))
