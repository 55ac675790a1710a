"""`History`: the metric values of every epoch."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from .._describe import describe, did_you_mean, listed
from .._figures import new_figure
from .._terms._naming import TOTAL
from .._types import PyTree, Values

M = TypeVar("M")

_COLUMNS = 3
_SHOWN = 6


class History(Mapping[str, list[Any]]):
    """The metric values of every epoch of a run: a mapping from names to lists, which `plot` draws.

    **Attributes:**

    - `history`: the same as a dict: for each name a list with one value per epoch, a Python float, or a NumPy array
        where it isn't a scalar. NaN stands where an epoch has no such value, because validation wasn't due or a name
        came up later.
    - `epoch`: the epochs that the lists are about, counted from 0.
    - `seconds`: how long each epoch took, with its validation; NaN where nobody measured.
    - `validations`: for each validation `(step, values)`: after which step of the model, and what it found.
    - `stopped`: why training ended before its last epoch; `None` if it didn't.

    !!! example

        ```python
        import treegy as tg

        history = tg.History()
        history.append(0, {"loss": 0.5})
        history.append(1, {"loss": 0.25})
        assert history["loss"] == [0.5, 0.25]
        ```
    """

    history: dict[str, list[Any]]
    epoch: list[int]
    seconds: list[float]
    validations: list[tuple[int, dict[str, Any]]]
    stopped: str | None

    def __init__(self):
        self.history = {}
        self.epoch = []
        self.seconds = []
        self.validations = []
        self.stopped = None

    def append(self, epoch: int, logs: Values, seconds: float = math.nan) -> None:
        """Add the metric values of one more epoch.

        **Arguments:**

        - `epoch`: its number, counted from 0.
        - `logs`: its metric values by name: numbers, or arrays.
        - `seconds`: how long it took.
        """
        # Converted before anything is added: what can't be leaves the lists as long as each other.
        found = {name: _value(value) for name, value in logs.items()}
        for name in found:
            self.history.setdefault(name, [math.nan] * len(self.epoch))
        for name, values in self.history.items():
            values.append(found.get(name, math.nan))
        self.epoch.append(epoch)
        self.seconds.append(float(seconds))

    def __getitem__(self, name: str) -> list[Any]:
        try:
            return self.history[name]
        except KeyError:
            raise KeyError(_missing(name, self.history)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def __len__(self) -> int:
        return len(self.history)

    def __bool__(self) -> bool:
        return bool(self.epoch)

    def __repr__(self) -> str:
        if not self.epoch:
            return "History(no epochs)"
        first, last = self.epoch[0], self.epoch[-1]
        parts = [f"epoch {first + 1}" if len(self.epoch) == 1 else f"epochs {first + 1} to {last + 1}"]
        names = [name for name in self.history if not self._repeats(name.removeprefix("val_"), [name])]
        parts += [f"{name}={self[name][-1]:.4g}" for name in names if _is_scalar(self[name])][:_SHOWN]
        if len(names) > len(parts) - 1:
            parts.append("...")
        if self.stopped is not None:
            parts.append(f"stopped: {self.stopped.partition(chr(10))[0]}")
        return f"History({', '.join(parts)})"

    def plot(self, *names: str) -> Any:
        """Draw the metric values over the epochs. Needs Matplotlib: `pip install "treegy[plot]"`.

        **Arguments:**

        - `*names`: which metric values, each together with its `val_` one; all of them by default.

        **Returns:**

        A `matplotlib.figure.Figure`, which notebooks show and `figure.savefig("history.png")` writes: one axes per
        metric value, with the one of validation beside it. `matplotlib.pyplot` is neither needed nor touched. Values
        that aren't scalars are left out.

        **Raises:** `KeyError` for a name that isn't there, `ValueError` for one that can't be drawn, and
        `ImportError` without Matplotlib.
        """
        groups = self._groups(names)
        columns = max(1, min(_COLUMNS, len(groups)))
        rows = max(1, math.ceil(len(groups) / columns))
        figure = new_figure("History.plot", 4.5 * columns, 3.2 * rows)
        for i, (title, lines) in enumerate(groups.items()):
            axes = figure.add_subplot(rows, columns, i + 1)
            for name in lines:
                values = self.history[name]
                # Epochs without the value don't break its line. One value alone shows only as a point.
                known = [(e + 1, v) for e, v in zip(self.epoch, values, strict=True) if not math.isnan(v)]
                marker = "o" if len(known) < 2 else None
                axes.plot([e for e, _ in known], [v for _, v in known], marker=marker, label=name)
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.locator_params(axis="x", integer=True)
            axes.legend()
        return figure

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        model: Any = None,
        x: PyTree = None,
        y: PyTree = None,
        title: str = "A training run",
        hyperparameters: Mapping[str, object] | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a page about the run: one HTML file, which opens in any browser without a network.

        It shows the curves, whose values appear under the mouse, the last and the best values and those of all epochs,
        how long epochs took, versions of packages, and the machine.

        **Arguments:**

        - `path`: where to write it, such as `"run.html"`. What is there is replaced.
        - `model`: the model, of which it shows the layers, what losses and metrics read, and all else that was set.
        - `x`, `y`: a batch, or shapes, with which the layers' outputs are known.
        - `title`: what stands above.
        - `hyperparameters`: what else to show, by name.
        - `figures`: figures of Matplotlib, by title, such as those of [`treegy.plot.confusion_matrix`][].

        **Returns:**

        The path of the file.

        **Raises:** `TypeError` where `hyperparameters` or `figures` isn't a dict; whatever `Model.summary` raises;
        `OSError` where the file can't be written.

        !!! example

            ```python
            import treegy as tg

            history = tg.History()
            history.append(0, {"loss": 0.5, "val_loss": 0.7})
            history.append(1, {"loss": 0.25, "val_loss": 0.5})
            history.report("run.html", title="Two epochs", hyperparameters={"width": 64})
            ```
        """
        from ._report import report  # nobody else needs it

        for name, by_name in (("hyperparameters", hyperparameters), ("figures", figures)):
            if by_name is not None and not isinstance(by_name, Mapping):
                raise TypeError(
                    f"`{name}` is {describe(by_name)}; a dict is expected, in which each has the name that is shown."
                )
        given = hyperparameters or {}, figures or {}
        return report(self, self._groups(()), path, title, model, (x, y), *given)

    def _groups(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return the names that share one axes, by its title: a metric value and that of validation."""
        names = list(names)
        for name in names:
            if not _is_scalar(self[name]):
                raise ValueError(f"`{name}` can't be plotted: its values are not scalars.")
        groups: dict[str, list[str]] = {}
        for name in names or self.history:
            title = name.removeprefix("val_")
            wanted = (title, f"val_{title}") if not names or name == title else (name,)
            for each in wanted:
                group = groups.setdefault(title, [])
                if each in self.history and _is_scalar(self.history[each]) and each not in group:
                    group.append(each)
        return {title: group for title, group in groups.items() if group and (names or not self._repeats(title, group))}

    def _repeats(self, title: str, group: list[str]) -> bool:
        """Whether the values are those of the only loss, which the total says as well."""
        if title == TOTAL or not title.endswith(TOTAL):
            return False
        totals = [self.history.get(name.removesuffix(title) + TOTAL) for name in group]
        return all(
            total is not None and np.array_equal(self.history[name], total, equal_nan=True)
            for name, total in zip(group, totals, strict=True)
        )


def _value(value: object) -> PyTree:
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def _is_scalar(values: list[PyTree]) -> bool:
    return all(isinstance(value, float) for value in values)


def _missing(name: str, there: Iterable[str]) -> str:
    names = list(there)
    hint = did_you_mean(name, names, repr)
    return f"no metric value {name!r}; there are: {listed(names) or 'none'}.{hint}"


if TYPE_CHECKING:

    class Fitted(NamedTuple, Generic[M]):
        """What `fit` returns: `model, history = model.fit(...)`."""

        model: M
        history: History

else:
    # Not generic: beartype can't check generic named tuples.
    class Fitted(NamedTuple):
        """What `fit` returns: `model, history = model.fit(...)`."""

        model: Any
        history: History

        # A lambda, which jaxtyping's import hook leaves as it is.
        __class_getitem__ = classmethod(lambda cls, item: cls)

        def __getattr__(self, name: str) -> Any:
            # Keras's habit is `history = model.fit(...)`, and `model` is the trained one.
            if name.startswith("_"):
                raise AttributeError(name)
            if hasattr(self.model, name):
                what = f"`{name}` is of the model, which it returns first"
            elif hasattr(self.history, name):
                what = f"`{name}` is of the history, which it returns second"
            else:
                what = "it returns a model and a history"
            raise AttributeError(
                f"`fit` returned a pair, which has no `{name}`: {what}. Write `model, history = model.fit(...)`."
            )
