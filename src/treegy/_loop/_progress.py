"""What is shown of a run while it runs."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._describe import array_name, describe
from .._terms._naming import TOTAL
from .._types import Values, Verbose
from ._compile_clock import CompileClock
from ._durations import duration, short_duration
from ._progress_display import Line, Notebook, Terminal, can_live, in_notebook, print_line

# Looking at the metric values waits for the computation, and drawing takes milliseconds of a core that computes: five
# times a second is enough.
_INTERVAL = 0.2


class Progress:
    """Shows how far a training run, an evaluation or a prediction is.

    `begin_epoch`, `update` and `end_epoch` are called in this order, and `close` in the end, whatever happened.
    """

    def __init__(
        self,
        verbose: Verbose,
        *,
        epochs: int,
        initial_epoch: int = 0,
        title: str | None = None,
        names: Sequence[str] | None = None,
        lone_loss: str | None = None,
        console: Any = None,
        muted: bool = False,
    ):
        """**Arguments:**

        - `verbose`: 0 shows nothing, 1 a bar that lives while an epoch runs and its line when it has ended, 2 only
            that line, without any control characters; `"auto"` is 1 in a terminal or a notebook and 2 elsewhere.
            Where no bar can live, in a file or a pipe, 1 is 2.
        - `epochs`, `initial_epoch`: epochs from `initial_epoch` to `epochs - 1` will be shown.
        - `title`: how lines begin, in place of the number of the epoch.
        - `names`: the metric values that are shown, in this order; all if `None`.
        - `lone_loss`: the name of the only loss, which isn't shown besides `loss` if it is the same, unless `names` has
            it.
        - `console`: where to write; the standard output of the moment by default.
        - `muted`: whether nothing is shown, since another process does.

        **Raises:** `ValueError` for another `verbose`.
        """
        if not (isinstance(verbose, int | str) and verbose in (0, 1, 2, "auto")):
            raise ValueError(
                f"`verbose` is {describe(verbose)}; it can be 0 (nothing), 1 (a live bar), 2 (a line per epoch) or "
                "'auto'."
            )
        self._epochs = epochs
        self._initial_epoch = initial_epoch
        self._title = title
        self._names = names
        self._lone_loss = lone_loss
        self._silent = verbose == 0 or muted
        self._file: Any = None if console is None else console.file
        self._screen: Terminal | Notebook | None = None
        if verbose in (1, "auto") and not muted:
            if console is None and in_notebook():
                self._screen = Notebook()
            elif can_live(console):
                self._screen = Terminal(console)
        self._next_draw = 0.0
        self._began: float | None = None
        self._epoch = 0
        self._steps: int | None = None
        self._step = 0
        self._epoch_began = 0.0
        self._steps_took: float | None = None
        # What compiling took, which later steps don't take: before this epoch.
        self._compiling, self._compiled_before = CompileClock(self._show_compiling), 0.0
        self._metric_values: list[str] = []
        self._thread = threading.get_ident()

    @property
    def live(self) -> bool:
        """Whether there is a bar that moves."""
        return self._screen is not None

    def tell(self, text: str) -> None:
        """Show a line before the first epoch."""
        if not self._silent:
            print_line(text, self._file)

    def begin_epoch(self, epoch: int, steps: int | None) -> None:
        """An epoch begins.

        **Arguments:**

        - `epoch`: its number, counted from 0.
        - `steps`: how many steps it will have, if that is known.
        """
        now = time.perf_counter()
        if self._began is None:
            self._began = now
            if not self._silent:
                self._compiling.start()
        self._epoch, self._steps, self._step = epoch, steps, 0
        self._epoch_began, self._steps_took, self._metric_values = now, None, []
        self._compiled_before = self._compiling.seconds
        # Now already, since the first epoch begins with compiling, but not at the beginning of each of many short ones.
        if self._screen is not None and now >= self._next_draw:
            self._draw()

    def update(self, step: int, logs: Callable[[], Values]) -> None:
        """Some steps were done.

        **Arguments:**

        - `step`: how many steps of the epoch there were so far.
        - `logs`: returns the metric values so far. Only called if they will be shown.
        """
        self._step = step
        if self._screen is None or time.perf_counter() < self._next_draw:
            return
        self._metric_values = _metric_values(self._chosen(logs()))
        self._draw()

    def end_steps(self, step: int) -> None:
        """All steps of the epoch were done, `step` many, and what follows (validation) doesn't count for their time."""
        self._step = step
        compiling = self._compiling.seconds - self._compiled_before
        self._steps_took = max(time.perf_counter() - self._epoch_began - compiling, 0.0)
        if self._screen is not None and self._screen.is_live:
            self._draw()

    def end_epoch(self, logs: Values) -> None:
        """An epoch has ended.

        **Arguments:**

        - `logs`: its metric values.
        """
        if self._silent:
            return
        self._metric_values = _metric_values(self._chosen(logs))
        took = time.perf_counter() - self._epoch_began
        each = took if self._steps_took is None else self._steps_took
        compiling = self._compiling.seconds - self._compiled_before
        times = [duration(took) + (f" ({duration(compiling)} compiling)" if compiling >= 0.5 else "")]
        if self._step:
            times.append(f"{short_duration(each / self._step)}/step")
        if self._screen is not None:
            self._screen.finish(Line(self._head(), (self._step, self._steps or self._step), times, self._metric_values))
            return
        count = [f"{self._step} step{'' if self._step == 1 else 's'}"]
        # One line, however long: a file has no width.
        print_line("  ".join([*self._head(), *count, *times, *self._metric_values]), self._file)

    def _chosen(self, logs: Values) -> Values:
        if self._names is not None:
            return {name: logs[name] for name in self._names if name in logs}
        return {name: value for name, value in logs.items() if not self._repeats(name, logs)}

    def _repeats(self, name: str, logs: Values) -> bool:
        """Whether a value is that of the only loss, and the total besides it says the same."""
        if self._lone_loss is None or name.removeprefix("val_") != self._lone_loss:
            return False
        total = name.removesuffix(self._lone_loss) + TOTAL
        return total in logs and np.array_equal(np.asarray(logs[name]), np.asarray(logs[total]), equal_nan=True)

    def close(self) -> None:
        """Ends what is still shown, as after an exception, and gives the terminal back. May be called again."""
        self._compiling.stop()
        if self._screen is not None:
            self._screen.close()

    def _show_compiling(self) -> None:
        # A loader's thread may compile as well, but doesn't draw.
        if self._screen is None or not self._screen.is_live or threading.get_ident() != self._thread:
            return
        if time.perf_counter() >= self._next_draw:
            self._draw("compiling")

    def _draw(self, doing: str | None = None) -> None:
        assert self._screen is not None
        now = time.perf_counter()
        times = [duration(now - self._epoch_began), *(self._left(now) if doing is None else [doing])]
        self._screen.show(Line(self._head(), (self._step, self._steps), times, self._metric_values))
        self._next_draw = time.perf_counter() + _INTERVAL

    def _head(self) -> list[str]:
        total = str(self._epochs)
        number = f"{self._epoch + 1:>{len(total)}}/{total}"
        if self._title is None:
            return [f"epoch {number}"]
        return [self._title] if self._epochs == 1 else [f"{self._title} {number}"]

    def _left(self, now: float) -> list[str]:
        """How long all epochs that remain will take, going by those that have passed."""
        if not self._step or not self._steps or self._began is None:
            return []
        done = self._epoch - self._initial_epoch + min(self._step / self._steps, 1.0)
        left = (
            max(now - self._began - self._compiling.seconds, 0.0)
            / done
            * max(self._epochs - self._initial_epoch - done, 0.0)
        )
        return [f"{duration(left)} left"] if left >= 1 else []


# What a line says


def _metric_values(logs: Values) -> list[str]:
    # A rate is a round number, whose zeros say nothing.
    return [f"{name} {value:.4g}" if name == "lr" else f"{name} {_metric_value(value)}" for name, value in logs.items()]


def _metric_value(value: object) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return str(array) if array.dtype.kind in "iu" else _number(float(array))
    if array.ndim == 1 and array.size <= 4:
        return f"[{' '.join(_number(float(each)) for each in array)}]"
    return array_name(array)


def _number(value: float) -> str:
    """Return four digits, so that numbers below each other line up; of a count all of them."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 and value == round(value) else f"{value:#.4g}".rstrip(".")
